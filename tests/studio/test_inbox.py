"""What waits for a person comes, ends and never moves under the pointer."""

import re

from playwright.async_api import expect

from stores.redis.client import Store
from tests.support.browsing import key_of, sign_in
from tests.support.deciding import client_of, decide
from tests.support.desk import Desk
from tests.support.shipping import shipped
from tests.support.target import Target

# How long a change may take to show where no stream tells of it.
SOON = 20_000


async def test_it_comes_and_goes_in_another_browser(desk: Desk, target: Target) -> None:
    """The title and the navigation show the number."""
    page = await desk.person()
    await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    await expect(page).to_have_title("Approvals · Relay Studio")
    preview_id = (await desk.held(target.url))["preview_id"]
    row = page.locator(f"a[href$='{preview_id}']")
    await expect(row).to_be_visible(timeout=SOON)
    await expect(row).to_have_text(_host(target.url))
    await expect(page).to_have_title("(1) Approvals · Relay Studio")
    await expect(page.get_by_role("navigation").get_by_text("Approvals (1)")).to_be_visible()
    await decide(await client_of(desk.keyed, "approver", "ben"), preview_id)
    await expect(row).to_have_count(0, timeout=SOON)
    await expect(page).to_have_title("Approvals · Relay Studio")


def _host(url: str) -> re.Pattern[str]:
    return re.compile(rf"\s*POST\s+{re.escape(url.split('/')[2])}\s+/hook\s*")


async def test_what_ends_stays_until_the_pointer_leaves(desk: Desk, target: Target) -> None:
    """In grey, saying how it ended; no other row moves meanwhile."""
    first, second = [(await desk.held(target.url))["preview_id"] for _ in range(2)]
    page = await desk.person()
    rows = page.get_by_role("tabpanel").locator(".list > li")
    await expect(rows).to_have_count(2)
    await rows.nth(1).hover()
    below = await rows.nth(1).bounding_box()
    await decide(await client_of(desk.keyed, "approver", "ben"), first)
    await expect(page.locator(".gone")).to_contain_text("approved by ben", timeout=SOON)
    assert await rows.nth(1).bounding_box() == below
    await expect(page.get_by_text("Waiting for me 1")).to_be_visible()
    await page.get_by_role("heading", level=1).hover()
    await expect(rows).to_have_count(1)
    await expect(rows.locator(f"a[href$='{second}']")).to_be_visible()


async def test_own_requests_stand_apart(desk: Desk, target: Target) -> None:
    """Not decidable, with the reason. A tab stays in the address."""
    page = await desk.person("boss", role="admin")
    own = desk.keyed.client(await key_of(desk.keyed, "operator", "boss"))
    preview_id = (await own.preview(target.url)).json()["preview_id"]
    await page.get_by_role("tab", name="Mine").click()
    await expect(page.get_by_role("tabpanel")).to_contain_text("Another person has to decide")
    await expect(page.locator(f"a[href$='{preview_id}']")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("tab", name="Mine")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("tab", name="Waiting for me").click()
    await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()


async def test_what_waits_for_others_is_counted(desk: Desk, target: Target) -> None:
    """An admin's decision does not count for this rule."""
    await desk.held(target.url)
    page = await desk.person("boss", role="admin")
    await expect(page.get_by_text("1 waits for others.")).to_be_visible()


async def test_endings_are_listed(desk: Desk, store: Store, target: Target) -> None:
    page = await desk.person()
    await page.get_by_role("tab", name="Decided").click()
    await expect(page.get_by_text("Nothing has been decided yet.")).to_be_visible()
    preview_id = (await desk.held(target.url))["preview_id"]
    await decide(await client_of(desk.keyed, "approver", "ben"), preview_id, "deny", reason="no")
    await shipped(store, desk.keyed.state)
    await page.reload()
    row = page.get_by_role("tabpanel").get_by_role("listitem")
    await expect(row).to_contain_text("denied by ben")
    await row.get_by_role("link").click()
    await expect(page.locator("#state")).to_contain_text("Denied by ben")


async def test_what_is_executed_is_listed_anew(desk: Desk, target: Target) -> None:
    """Also for those that may not see runs: the approval itself changes."""
    wanted = {"name": "ann", "role": "approver", "scopes": ["approvals:decide", "approvals:read"]}
    key = (await desk.keyed.relay.post("/keys", json=wanted)).json()["secret"]
    await desk.keyed.look()
    page = await desk.watched.page()
    await sign_in(page, key)
    await page.get_by_role("tab", name="Decided").click()
    await expect(page.get_by_text("Updated live")).to_be_visible()
    preview_id = (await desk.held(target.url))["preview_id"]
    await decide(await client_of(desk.keyed, "approver", "ben"), preview_id)
    row = page.get_by_role("tabpanel").get_by_role("listitem")
    await expect(row).to_contain_text("approved by ben", timeout=SOON)
    await desk.robot.execute(preview_id)
    await expect(row).to_contain_text("executed", timeout=SOON)


async def test_a_row_with_the_focus_stays_the_same_approval(desk: Desk, target: Target) -> None:
    """When one above it ends, and the pointer has left, so that nothing holds the list."""
    first, second = [(await desk.held(target.url))["preview_id"] for _ in range(2)]
    page = await desk.person()
    row = page.locator(f"a[href$='{second}']")
    await row.hover()
    await row.focus()
    await page.get_by_role("heading", level=1).hover()
    await decide(await client_of(desk.keyed, "approver", "ben"), first)
    await expect(page.locator(f"a[href$='{first}']")).to_have_count(0, timeout=SOON)
    await expect(row).to_be_focused()


async def test_two_hundred_rows(desk: Desk, target: Target) -> None:
    """All of them, the most urgent first; `j` and `k` move."""
    for _ in range(200):
        await desk.held(target.url)
    page = await desk.person()
    rows = page.get_by_role("tabpanel").locator(".list > li")
    await expect(rows).to_have_count(200)
    await page.keyboard.press("j")
    await expect(rows.first.get_by_role("link")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page.locator("#deny")).to_be_visible()
    await page.keyboard.press("u")
    await expect(rows).to_have_count(200)
