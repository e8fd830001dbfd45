"""What fails says so in words: the gateway, the network, the address, the version."""

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.support.browsing import Watched, sign_in
from tests.support.desk import Desk
from tests.support.keyed import Keyed
from tests.support.target import Target

SOON = 20_000


@pytest.mark.parametrize("path", ["/studio/nothing", "/studio/approvals/%zz"])
async def test_an_unknown_path_leads_back(desk: Desk, path: str) -> None:
    page = await desk.person()
    await page.evaluate(
        "(it) => { history.pushState(null, '', it); dispatchEvent(new Event('popstate')); }",
        path,
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    await page.get_by_role("main").get_by_role("link", name="Approvals").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")


async def test_an_unknown_approval_has_a_problem_to_report(desk: Desk) -> None:
    """Its title, what is the case, and the request's id to copy."""
    page = await desk.person(path="/studio/approvals/none")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    problem = page.get_by_role("alert")
    await expect(problem).to_contain_text("Invalid or expired preview_id")
    await expect(problem.get_by_role("button", name="Copy")).to_be_visible()
    await expect(problem.locator("code")).to_have_text(re.compile(r"[0-9a-f-]{36}"))


async def test_offline_what_is_shown_stays(desk: Desk, target: Target) -> None:
    """With the time from which it is; it comes back by itself."""
    await desk.held(target.url)
    page = await desk.person()
    row = page.get_by_role("tabpanel").get_by_role("link")
    await expect(row).to_have_count(1)
    await page.context.set_offline(True)
    problem = page.get_by_role("alert")
    await expect(problem).to_contain_text("Nothing here is newer than", timeout=SOON)
    await expect(row).to_have_count(1)
    await page.context.set_offline(False)
    await expect(problem).to_have_count(0, timeout=SOON)
    desk.watched.complaints.clear()


async def test_offline_from_the_start(desk: Desk) -> None:
    """A screen that was never opened cannot come; trying again shows it."""
    page = await desk.person()
    await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    await page.context.set_offline(True)
    await page.get_by_role("link", name="Runs").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Offline")
    await page.context.set_offline(False)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Runs", timeout=SOON)
    desk.watched.complaints.clear()


async def test_another_version_asks_for_a_reload(desk: Desk) -> None:
    """In a rolling upgrade the files of this version are gone."""
    page = await desk.person()
    await page.route("**/views/runs.js", lambda route: route.fulfill(status=404))
    await page.get_by_role("link", name="Runs").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Studio is being upgraded")
    await page.unroute_all()
    await page.get_by_role("button", name="Load the page again").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    desk.watched.complaints.clear()


async def test_without_scripts_the_page_says_so(watched: Watched) -> None:
    """It says the same where the scripts are those of another version."""
    page = await watched.page(await watched.context(java_script_enabled=False))
    await page.goto("/studio/approvals")
    await expect(page.get_by_text("Studio is being upgraded")).to_be_visible()


async def refused(page: Page, path: str | re.Pattern[str], status: int, **body: object) -> None:
    """The gateway answers this problem there."""

    async def answer(route: Route) -> None:
        real = await route.fetch()
        given = {"title": "Not now", "request_id": "r", **body}
        headers = {**real.headers, "retry-after": "42", "content-type": "application/problem+json"}
        headers.pop("content-length", None)
        await route.fulfill(status=status, json=given, headers=headers)

    await page.route(path, answer)


async def test_a_gateway_that_is_not_ready_says_what_it_waits_for(
    keyed: Keyed, watched: Watched
) -> None:
    """In the words of /ready; signing in says it too."""
    page = await watched.page()
    await sign_in(page, keyed.admin)
    check = {"name": "store", "verdict": "failed", "detail": "Redis does not answer"}
    await refused(page, "**/ready", 503, code="not_ready", detail="Failed.", checks=[check])
    await refused(
        page, re.compile(r":\d+/runs(\?|$)"), 503, code="store_unavailable", detail="No store."
    )
    await page.get_by_role("link", name="Runs").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not ready")
    await expect(page.get_by_text("store: Redis does not answer")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await refused(page, "**/session", 503, code="store_unavailable", detail="No keys yet.")
    await page.get_by_label("API key").fill("rly_live_x")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("store: Redis does not answer")).to_be_visible()


async def test_a_limit_says_until_when(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await page.goto("/studio/approvals")
    await page.get_by_label("API key").fill("rly_live_x")
    await refused(page, "**/session", 429, code="rate_limited", detail="Too many attempts.")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Ask again at \d"))


async def test_while_it_loads_the_page_is_busy(desk: Desk, target: Target) -> None:
    """A skeleton stands after 200 ms; no button can be pressed before all is there."""
    preview_id = (await desk.held(target.url))["preview_id"]
    page = await desk.person()
    held = asyncio.Event()

    async def answer(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route(f"**/approvals/{preview_id}", answer)
    await page.locator(f"a[href$='{preview_id}']").click()
    await expect(page.get_by_role("main")).to_have_attribute("aria-busy", "true")
    await expect(page.locator(".skeleton").first).to_be_visible()
    await expect(page.locator("#approve")).to_have_count(0)
    held.set()
    await expect(page.locator("#approve")).to_have_count(1)
