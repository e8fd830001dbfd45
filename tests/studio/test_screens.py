"""The other screens: runs, audit and keys."""

from playwright.async_api import expect

from tests.support.browsing import Watched, sign_in
from tests.support.keyed import Keyed
from tests.support.target import Target, status


async def test_a_refused_run_says_so(keyed: Keyed, watched: Watched, target: Target) -> None:
    target.answer = status(422, "no\u202e".encode())
    made = (await keyed.relay.preview(target.url, method="PUT")).json()
    run = (await keyed.relay.execute(made["preview_id"])).json()
    page = await watched.page()
    await sign_in(page, keyed.admin, f"/studio/runs/{run['run_id']}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Refused by the target: 422")
    await expect(page.locator("#answer")).to_contain_text("U+202E")


async def test_runs_are_filtered_by_the_address(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/runs")
    await expect(page.get_by_text("No run yet.")).to_be_visible()
    await page.get_by_label("Status").select_option("unknown")
    await expect(page.get_by_text("None of these.")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Status")).to_have_value("unknown")


async def test_keys_move_between_pages(keyed: Keyed, watched: Watched) -> None:
    """Keys that are typed into a field do not."""
    page = await watched.page()
    await sign_in(page, keyed.admin)
    await page.keyboard.press("g")
    await page.keyboard.press("x")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Actions")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.get_by_label("url").press_sequentially("gr")
    await expect(page.get_by_label("url")).to_have_value("gr")


async def test_an_unknown_path_says_so(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/nothing")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
