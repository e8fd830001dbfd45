"""The runs of a workspace, and one of them: its outcome in words first."""

import re
import time
from itertools import cycle

import pytest
from playwright.async_api import Page, expect

from stores.audit_entries import Entry
from stores.redis.client import Store
from stores.redis.outbox import Outbox
from tests.support.browsing import Watched, sign_in
from tests.support.chains import ended, intended
from tests.support.deciding import client_of, decide
from tests.support.held import held
from tests.support.keyed import Keyed
from tests.support.shipping import shipped
from tests.support.target import Target, reset, status

UNKNOWN = "Unknown: bytes went out, no answer came. Nobody sends it again."


async def ran(keyed: Keyed, target: Target, key: str | None = None) -> str:
    """The id of a run that has ended."""
    made = (await keyed.relay.preview(target.url, method="PUT")).json()
    answer = (await keyed.relay.execute(made["preview_id"], key)).json()
    return str(answer["run_id"])


async def opened(watched: Watched, keyed: Keyed, path: str) -> Page:
    page = await watched.page()
    await sign_in(page, keyed.admin, path)
    return page


async def recorded(store: Store, keyed: Keyed, *entries: Entry) -> None:
    """In the database, and not in Redis."""
    named = [(f"{number}-0", entry) for number, entry in enumerate(entries)]
    await Outbox(store.scripts).record("default", named)
    await shipped(store, keyed.state)


async def says(page: Page, words: str | re.Pattern[str]) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)


async def test_a_run_says_first_what_became_of_it(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """Then what came back, and how to ask for the same elsewhere."""
    run_id = await ran(keyed, target)
    page = await opened(watched, keyed, f"/studio/runs/{run_id}")
    await says(page, "Sent once; the target answered 200")
    await expect(page.locator("#replays")).to_contain_text("to no retry")
    await expect(page.locator("#curl")).to_contain_text(f"/runs/{run_id}")


async def test_a_refused_run_shows_the_answer(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """Hidden characters of the target are named."""
    target.answer = status(422, "no\u202e".encode())
    page = await opened(watched, keyed, f"/studio/runs/{await ran(keyed, target)}")
    await says(page, "Refused by the target: 422")
    await expect(page.locator("#answer")).to_contain_text("U+202E")
    await expect(page.locator("#error")).to_contain_text("Not safe to retry")


async def test_a_run_under_way_is_live_to_its_end(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    run = await held(keyed.relay, target, "order-1", method="PUT")
    listed = await keyed.relay.execute("any", "order-1", wait=0)
    page = await opened(watched, keyed, f"/studio/runs/{listed.json()['run_id']}")
    await says(page, re.compile("Under way, [0-9]+ second"))
    run.gate.open.set()
    await says(page, "Sent once; the target answered 200")
    await run.end()


async def test_replays_are_counted(keyed: Keyed, watched: Watched, target: Target) -> None:
    run_id = await ran(keyed, target, "order-1")
    for _ in range(4):
        await keyed.relay.execute("any", "order-1")
    page = await opened(watched, keyed, f"/studio/runs/{run_id}")
    await expect(page.locator("#replays")).to_contain_text("Replayed 4 times, last")


@pytest.mark.parametrize(
    ("outcome", "reason", "words", "why"),
    [
        ("unknown", "no_response", UNKNOWN, "Not safe to retry"),
        ("unknown", "interrupted", UNKNOWN, "ended before its outcome was stored"),
        ("not_sent", "target_unreachable", "Not sent. Safe to retry.", "nothing was sent"),
    ],
)
async def test_an_archived_run_says_what_is_known(
    keyed: Keyed, watched: Watched, store: Store, outcome: str, reason: str, words: str, why: str
) -> None:
    """From the database, as after a day."""
    ending = ended("r-1", status=outcome, reason=reason, status_code=0)
    await recorded(store, keyed, intended("r-1"), ending)
    page = await opened(watched, keyed, "/studio/runs/r-1")
    await says(page, words)
    await expect(page.locator("#error")).to_contain_text(why)
    await expect(page.locator("#replays")).to_contain_text("no longer known")


async def test_an_unknown_run_says_whom_to_ask(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """By the host and the webhook-id, where an approval has kept the address."""
    target.answer = reset
    robot = await client_of(keyed, "operator", "robot")
    preview_id = await robot.preview_id(target.url)
    await decide(await client_of(keyed, "approver", "ann"), preview_id)
    run_id = (await robot.execute(preview_id)).json()["run_id"]
    page = await opened(watched, keyed, f"/studio/runs/{run_id}")
    await says(page, UNKNOWN)
    host = target.url.split("/")[2]
    await expect(page.locator("#advice")).to_contain_text(f"Ask {host} what it has received.")
    await expect(page.locator("#advice")).to_contain_text(run_id)


async def test_an_archived_answer_is_gone(
    keyed: Keyed, watched: Watched, target: Target, store: Store
) -> None:
    run_id = await ran(keyed, target)
    await shipped(store, keyed.state)
    await store.client.delete(f"relay:{{default}}:run:{run_id}")
    page = await opened(watched, keyed, f"/studio/runs/{run_id}")
    await says(page, "Sent once; the target answered 200")
    await expect(page.locator("#archived")).to_contain_text("no longer kept")


async def test_a_run_of_another_workspace_is_not_found(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    await keyed.workspace("theirs")
    theirs = keyed.client(await keyed.key("operator", workspace="theirs"))
    run = (await theirs.execute(await theirs.preview_id(target.url))).json()
    page = await opened(watched, keyed, f"/studio/runs/{run.get('run_id', 'none')}")
    await says(page, "Not found")


async def test_the_audit_of_a_run_is_read_when_asked_for(
    keyed: Keyed, watched: Watched, target: Target, store: Store
) -> None:
    """Its entries alone, with the hash of the key."""
    run_id, _ = await ran(keyed, target), await ran(keyed, target)
    await shipped(store, keyed.state)
    page = await opened(watched, keyed, f"/studio/runs/{run_id}")
    await page.get_by_text("Audit entries of this run").click()
    entries = page.locator("details .list li")
    await expect(entries).to_have_count(2)
    await expect(page.locator("details")).to_contain_text("key hash")


async def test_new_runs_are_announced_and_move_no_row(
    keyed: Keyed, watched: Watched, target: Target, store: Store
) -> None:
    first = await ran(keyed, target)
    await shipped(store, keyed.state)
    page = await opened(watched, keyed, "/studio/runs")
    rows = page.locator(".list a[href^='/studio/runs/']")
    await expect(rows).to_have_count(1)
    for _ in range(3):
        await ran(keyed, target)
    await shipped(store, keyed.state)
    await expect(page.locator("#fresh")).to_have_text("3 new", timeout=15_000)
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_have_attribute("href", f"/studio/runs/{first}")
    await page.locator("#fresh").click()
    await expect(rows).to_have_count(4)


async def test_filters_stand_in_the_address(keyed: Keyed, watched: Watched) -> None:
    """A reload and the way back keep them."""
    page = await opened(watched, keyed, "/studio/runs")
    await page.get_by_label("Action", exact=True).fill("webhook.save")
    await page.get_by_label("Status").select_option("unknown")
    await expect(page).to_have_url(re.compile(r"\?status=unknown&action=webhook.save$"))
    await page.reload()
    await expect(page.get_by_label("Status")).to_have_value("unknown")
    await page.get_by_role("link", name="Show all runs").click()
    await expect(page.get_by_text("No run yet.")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_label("Action", exact=True)).to_have_value("webhook.save")


async def test_all_statuses_differ_without_colours(
    keyed: Keyed, watched: Watched, store: Store
) -> None:
    """By a shape and by words; 200 rows stand on a page, older ones behind it."""
    statuses = ("success", "failed", "unknown", "not_sent", "running")
    now = int(time.time() * 1000)  # a run that began long ago and is not in Redis is forgotten
    entries = [
        intended(f"r-{number}", at=now) if word == "running" else ended(f"r-{number}", status=word)
        for number, word in zip(range(201), cycle(statuses), strict=False)
    ]
    await recorded(store, keyed, *entries)
    page = await opened(watched, keyed, "/studio/runs?limit=200")
    badges = page.locator(".list .status")
    await expect(badges).to_have_count(200)
    texts = set(await badges.all_text_contents())
    assert len({text.split()[0] for text in texts}) == len({text[2:] for text in texts}) == 5
    await page.get_by_role("link", name="Older runs").click()
    await expect(badges).to_have_count(1)
