"""What Studio may cost a browser. Times are those of the processor, also on a busy machine."""

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Page, expect

from tests.support.broken import copy_of_web, serve_copy, turns_red
from tests.support.browsing import Watched, key_of, loaded, sign_in
from tests.support.deciding import client_of
from tests.support.keyed import Keyed
from tests.support.target import Target

ROWS, LOADS = 200, 3
GZIP, REQUESTS = 45_000, 15
TASK_MS, LIST_MS, HEAP = 200, 1000, 10_000_000
# Each exceeds a budget.
WASTES = {
    "nothing": "",
    "one task": "let sum = 0; for (let it = 0; it < 6e8; it += 1) sum += it % 7; window.sum = sum;",
    "heap": "window.kept = Array.from({length: 300_000}, (_, it) => ({it, also: [it]}));",
}


class Cost(NamedTuple):
    """Of the page's thread: its longest task, all of them; the bytes in use after a collection."""

    task_ms: float
    list_ms: float
    heap: float


def tasks(trace: bytes) -> Iterator[float]:
    """How long each task of the page's thread kept a processor, in milliseconds."""
    events = json.loads(trace)["traceEvents"]
    (page,) = {
        it["pid"]
        for it in events
        if it["name"] == "thread_name" and it["args"]["name"] == "CrRendererMain"
    }
    for it in events:
        if it["name"] == "RunTask" and it["pid"] == it["tid"] == page:
            yield it.get("tdur", 0) / 1000


async def cost(page: Page) -> Cost:
    browser = page.context.browser
    assert browser
    await browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
    await page.goto("/studio/approvals")
    await expect(page.locator("main ul.list > li")).to_have_count(ROWS)
    taken = list(tasks(await browser.stop_tracing()))
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    usage: dict[str, Any] = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return Cost(max(taken), sum(taken), usage["usedSize"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("waste", WASTES)
async def test_200_rows_stay_within_their_budget(
    keyed: Keyed, watched: Watched, target: Target, waste: str
) -> None:
    """The first list takes less than a second, no task 200 ms, and the heap stays small."""
    agent = await client_of(keyed, "operator", "robot")
    for number in range(ROWS):
        answer = await agent.preview(target.url, {"number": number, "note": "\u202e"})
        assert answer.status_code == 200
    context = await watched.context()
    if waste != "nothing":
        await serve_copy(context, copy_of_web(r"\nlisten\(", f"\n{WASTES[waste]}\nlisten("))
    page = await watched.page(context)
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    costs = [await cost(page) for _ in range(LOADS)]
    least = Cost(*(min(each) for each in zip(*costs, strict=True)))
    over = {
        "one task": least.task_ms >= TASK_MS,
        "list": least.list_ms >= LIST_MS,
        "heap": least.heap >= HEAP,
    }
    # A waste of one kind may cost another.
    assert over[waste] if waste in over else not any(over.values()), costs


async def asked(page: Page) -> list[str]:
    """What the browser asks the gateway for, to show the inbox and keep it current."""
    addresses: list[str] = []
    page.on("request", lambda it: addresses.append(it.url))
    async with page.expect_request("**/events"):
        await page.goto("/studio/approvals")
    await loaded(page)
    # The page before may have asked for something until it was left.
    [first] = [at for at, it in enumerate(addresses) if it.endswith("/studio/approvals")]
    return [it for it in addresses[first:] if it.startswith("http")]


@pytest.mark.parametrize("more", [False, True])
async def test_a_first_page_is_small(keyed: Keyed, watched: Watched, *, more: bool) -> None:
    """It takes 15 requests, and 45 kB with gzip. The control imports one more script."""
    context = await watched.context()
    page = await watched.page(context)
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    if more:
        await serve_copy(context, copy_of_web(r"\nlisten\(", '\nimport("./schema.js");\nlisten('))
    addresses = await asked(page)
    with turns_red(more):
        assert len(addresses) <= REQUESTS, addresses
    # Read apart from the page, which may drop what it has got. The stream has no end.
    answers = [await context.request.get(it) for it in addresses if not it.endswith("/events")]
    sizes = [len(gzip.compress(await it.body())) for it in answers]
    assert 10_000 < sum(sizes) < GZIP
