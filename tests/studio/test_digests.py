"""The digest that a page sends is that of the very bytes that a receiver gets."""

from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.browsing import Watched, altered, approve, key_of, sign_in
from tests.support.gateways import Relay
from tests.support.generated import LARGEST, SIZES, params, received
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

EVERYTHING = """
[[rule]]
name = "everything"
need = { approvals = 1, from = ["role:approver"] }
"""
BATCHES, EACH = 10, 20


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    """Every method is held."""
    async with keyed_gateway(valkey.url, tmp_path, policy=EVERYTHING) as opened:
        yield opened


async def held(agent: Relay, text: str) -> str:
    asked = f'{{"action": "webhook.save", "params": {text}}}'
    headers = {"Content-Type": "application/json"}
    answer = await agent.post("/actions/preview", content=asked, headers=headers)
    assert answer.status_code == 200, (answer.text, text[:500])
    return str(answer.json()["preview_id"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("batch", range(BATCHES))
async def test_the_digest_is_that_of_what_arrives(
    keyed: Keyed, watched: Watched, target: Target, batch: int
) -> None:
    """200 generated requests, each decided in a browser and sent."""
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    random = Random(batch)
    sizes = [LARGEST, *(random.choice(SIZES) for _ in range(EACH - 1))]
    for size in sizes:
        preview_id = await held(agent, params(random, target.url, size=size))
        await page.goto(f"/studio/approvals/{preview_id}")
        computed = await approve(page)
        run = (await agent.execute(preview_id)).json()
        assert run["status"] == "success", run
        assert received(target.deliveries.pop()).digest == computed


Document = dict[str, Any]


def with_head(old: str, new: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        assert old in document["wire"]["head"]
        document["wire"]["head"] = document["wire"]["head"].replace(old, new)

    return change


def with_body(old: str, new: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        assert old in document["wire"]["body"]
        document["wire"]["body"] = document["wire"]["body"].replace(old, new)

    return change


def without_last_byte(document: Document) -> None:
    document["wire"]["body"] = document["wire"]["body"][:-1]


def as_base64(document: Document) -> None:
    document["wire"]["body_base64"] = document["wire"].pop("body").encode().hex()


def with_its_digest(document: Document) -> None:
    """Both lies fit together: only Relay knows better."""
    with_body("107", "701")(document)
    shown = document["wire"]["head"] + document["wire"]["body"]
    document["digest"] = f"sha256:{sha256(shown.encode()).hexdigest()}"


LIES: dict[str, Callable[[Document], None]] = {
    "other number": with_body("107", "701"),
    "hidden character": with_body("bank", "bank\u200b"),
    "other target": with_head("/hook", "/hooks"),
    "other method": with_head("POST", "PUT"),
    "header gone": with_head("7: a\n", ""),
    "other order": with_head("7: a\nB: b\n", "B: b\n7: a\n"),
    "another header": with_head("7: a", "7: a\nC: c"),
    "line feed more": with_head("\n\n", "\n\n\n"),
    "line end": with_head("7: a\n", "7: a\r\n"),
    "last byte gone": without_last_byte,
    "base64": as_base64,
    "its own digest": with_its_digest,
}


async def hold(keyed: Keyed, target: Target) -> str:
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    body = {"amount": 107, "to": "bank"}
    answer = await agent.preview(target.url, body, headers={"7": "a", "B": "b"})
    return str(answer.json()["preview_id"])


async def check_not_approved(keyed: Keyed, page: Page, preview_id: str) -> None:
    """Neither the page nor Relay lets the decision through."""
    if await page.locator("#host").count():
        await page.locator("#host").fill("127.0.0.1")
    if await page.locator("#approve").is_enabled():
        await page.locator("#approve").click()
        await expect(page.get_by_role("alert").first).to_be_visible()
    assert (await keyed.relay.get(f"/approvals/{preview_id}")).json()["state"] == "pending"


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_other_bytes_than_the_stored_ones_cannot_be_approved(
    keyed: Keyed, watched: Watched, target: Target, lie: Callable[[Document], None]
) -> None:
    preview_id = await hold(keyed, target)
    page = await watched.page()
    await altered(page, f"**/approvals/{preview_id}", lie)
    await sign_in(page, await key_of(keyed, "approver", "ann"), f"/studio/approvals/{preview_id}")
    await expect(page.locator("#digest")).not_to_contain_text("is being compared")
    await check_not_approved(keyed, page, preview_id)


async def test_a_lie_at_a_later_load_is_found_too(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """The digest is computed again when what is shown changes."""
    preview_id = await hold(keyed, target)
    page = await watched.page()
    path = f"/studio/approvals/{preview_id}"
    await sign_in(page, await key_of(keyed, "approver", "ann"), path)
    await expect(page.locator("#digest")).to_contain_text("is what is shown here")
    await altered(page, f"**/approvals/{preview_id}", LIES["other number"])
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#body")).to_contain_text("701")
    await expect(page.locator("#digest")).to_contain_text("is not what is shown here")
    await page.locator("#host").fill("127.0.0.1")
    await expect(page.locator("#approve")).to_be_disabled()
    await check_not_approved(keyed, page, preview_id)
