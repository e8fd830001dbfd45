"""What stands around every screen: the session, the colours, the times, the keys."""

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, expect

from tests.support.browsing import Watched, key_of, sign_in
from tests.support.desk import Desk
from tests.support.gateways import gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

ACTION = "/studio/actions/webhook.save"


async def test_the_heading_has_the_focus_and_is_the_title(desk: Desk) -> None:
    """After every change of page; the link before all others skips to the page."""
    page = await desk.person(role="admin")
    for name in ("Runs", "Actions", "Audit"):
        await page.get_by_role("navigation").get_by_role("link", name=name).click()
        await expect(page.get_by_role("heading", level=1, name=name)).to_be_focused()
        await expect(page).to_have_title(f"{name} · Relay Studio")
        await expect(page.get_by_role("main")).to_have_count(1)
    skip = page.get_by_role("link", name="Skip to the page")
    await skip.focus()
    await expect(skip).to_be_in_viewport()
    await skip.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()


async def test_a_session_that_ends_is_put_off_by_a_click(desk: Desk) -> None:
    """Two minutes before; what was typed stays."""
    page = await desk.person(role="admin", path=ACTION)
    await page.get_by_label("url").fill("https://typed.example")
    await page.clock.install()
    await page.clock.fast_forward("27:00")
    await expect(page.locator("#ending")).to_have_count(0)
    await page.clock.fast_forward("01:30")
    await expect(page.get_by_role("alert")).to_contain_text("Your session ends at")
    await page.get_by_role("button", name="Stay signed in").click()
    await expect(page.locator("#ending")).to_have_count(0)
    await expect(page.get_by_label("url")).to_have_value("https://typed.example")


async def test_after_its_end_what_was_typed_stays(desk: Desk) -> None:
    """The same key comes back to the same path; nothing stands readable behind the sign-in."""
    key = await key_of(desk.keyed, "admin", "eve")
    page = await desk.watched.page()
    await sign_in(page, key, ACTION)
    await page.get_by_label("url").fill("https://typed.example")
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Preview").click()
    again = page.get_by_role("dialog", name="Sign in again")
    await expect(again).to_be_visible()
    behind = await page.evaluate(
        "getComputedStyle(document.querySelector('#again'), '::backdrop').backgroundColor"
    )
    assert behind == await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.keyboard.press("Escape")
    await expect(again).to_be_visible()
    await again.get_by_label("API key").fill(key)
    await again.get_by_role("button", name="Sign in").click()
    await expect(again).to_have_count(0)
    await expect(page.get_by_label("url")).to_have_value("https://typed.example")


async def test_times_are_local_or_in_utc(desk: Desk, target: Target) -> None:
    """The choice stays; the exact time stands in the title."""
    path = f"/studio/approvals/{(await desk.held(target.url))['preview_id']}"
    page = await desk.person(path=path, timezone_id="Asia/Tokyo", locale="en-GB")
    asked = page.get_by_role("main").locator("time").first
    hour = f"{(datetime.now(UTC).hour + 9) % 24:02d}:"
    assert hour in (await asked.get_attribute("title") or "")
    await page.get_by_label("Times in UTC").check()
    await expect(asked).to_have_attribute("title", _contains("UTC"))
    await page.reload()
    await expect(page.get_by_label("Times in UTC")).to_be_checked()
    await expect(asked).to_have_attribute("title", _contains("UTC"))


def _contains(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_colours_are_chosen_before_the_first_paint(desk: Desk, scheme: str) -> None:
    """Against what the system asks; the choice is all that the browser keeps."""
    other = "dark" if scheme == "light" else "light"
    page = await desk.person(color_scheme=other)
    await page.get_by_label("Colours").select_option(scheme)
    await page.route("**/main.js", lambda route: route.abort())
    await page.reload()
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 26)"}[scheme]
    assert await page.evaluate("JSON.stringify({...localStorage})") == f'{{"display":"{scheme}"}}'
    desk.watched.complaints.clear()  # the script that was held back


async def test_the_list_stands_beside_on_wide_windows(desk: Desk, target: Target) -> None:
    preview_id = (await desk.held(target.url))["preview_id"]
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    listed = page.get_by_role("region", name="List").get_by_role("link")
    await page.set_viewport_size({"width": 1100, "height": 700})
    await expect(listed).to_have_attribute("aria-current", "true")
    await page.set_viewport_size({"width": 1099, "height": 700})
    await expect(listed).to_have_count(0)


async def test_single_keys_are_turned_off(desk: Desk) -> None:
    """`?` shows them all. The choice stays."""
    page = await desk.person(role="admin")
    await page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys")
    await expect(help_).to_contain_text("Ctrl+Enter")
    await page.keyboard.press("Escape")
    await expect(help_).to_have_count(0)
    await page.get_by_label("No single keys").check()
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    for key in ("?", "g", "x"):
        await page.keyboard.press(key)
    await expect(help_).to_have_count(0)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")


async def test_no_single_key_decides(desk: Desk, target: Target) -> None:
    """`a` goes to what Approve waits for, then to the button; Ctrl+Enter does it."""
    preview_id = (await desk.held(target.url))["preview_id"]
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    await page.locator("#digest", has_text="is what is shown").wait_for()
    await page.keyboard.press("a")
    await expect(page.locator("#host")).to_be_focused()
    await page.keyboard.type("127.0.0.1")
    await page.locator("h1").focus()
    await page.keyboard.press("a")
    await expect(page.locator("#approve")).to_be_focused()
    await page.keyboard.press("d")
    await expect(page.locator("#deny")).to_be_focused()
    state = (await desk.keyed.relay.get(f"/approvals/{preview_id}")).json()["state"]
    assert state == "pending"
    await page.locator("#reason").fill("read it")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#state")).to_contain_text("Denied by ann")


async def big(page: Page) -> list[str]:
    """What is smaller than 24 px, or sticks out of the window."""
    found: list[str] = await page.evaluate("""[
          ...document.querySelectorAll('button, input, select')
        ].filter((it) => it.checkVisibility())
        .map((it) => [it.outerHTML.slice(0, 60), it.getBoundingClientRect()])
        .filter(([, box]) => box.height < 24 || box.width < 24 || box.right > innerWidth + 1)
        .map(([name]) => name)""")
    return found


async def test_a_magnified_page_needs_no_sideways_scrolling(desk: Desk, target: Target) -> None:
    """1,280 px at 400 % are 320 px. Targets have 24 px."""
    body = {"long": "x" * 300, "hidden": "\u202e" * 30}
    preview_id = (await desk.held(target.url, body))["preview_id"]
    page = await desk.person(
        path=f"/studio/approvals/{preview_id}", viewport={"width": 320, "height": 256}
    )
    for tab in ("Formatted", "Diff", "As it is"):
        await page.get_by_role("tab", name=tab).click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        assert await big(page) == []


async def test_forced_colours_keep_what_is_hidden_apart(desk: Desk, target: Target) -> None:
    """A box has a border, and the chosen tab a line; colours alone say nothing."""
    preview_id = (await desk.held(target.url, "a\u202eb"))["preview_id"]
    page = await desk.person(path=f"/studio/approvals/{preview_id}", forced_colors="active")
    box = page.locator("#body").get_by_role("img")
    await expect(box).to_have_css("border-top-style", "solid")
    chosen, other = page.locator("[aria-selected=true]"), page.locator("[aria-selected=false]")
    line = "getComputedStyle(it).borderBlockEndColor"
    assert await chosen.evaluate(f"it => {line}") != await other.first.evaluate(f"it => {line}")


async def test_an_open_gateway_says_so(valkey: Valkey, watched: Watched) -> None:
    """In development, before the first key: straight in."""
    async with gateway(valkey.url) as relay:
        watched.url = str(relay.base_url).rstrip("/")
        page = await watched.page()
        await page.goto("/studio/actions")
        await expect(page.get_by_text("Everybody may do everything here")).to_be_visible()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Actions")
        await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
