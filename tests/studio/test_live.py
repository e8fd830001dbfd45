"""A visible page stays current by a stream of events, or by asking; a hidden one does nothing."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.support.broken import copy_of_web, serve_copy, turns_red
from tests.support.browsing import Watched, key_of, sign_in
from tests.support.gateways import until
from tests.support.keyed import Keyed
from tests.support.target import Target
from tests.support.valkey import Valkey

HIDE = """Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});
document.dispatchEvent(new Event('visibilitychange'))"""
SHOW = """Object.defineProperty(document, 'hidden', {get: () => false, configurable: true});
document.dispatchEvent(new Event('visibilitychange'))"""


async def streams(keyed: Keyed) -> int:
    lines = (await keyed.relay.get("/metrics")).text.splitlines()
    (found,) = [line for line in lines if line.startswith("relay_studio_streams ")]
    return int(float(found.split()[1]))


async def open_inbox(watched: Watched, keyed: Keyed, context: BrowserContext | None = None) -> Page:
    page = await watched.page(context)
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    await expect(page.get_by_text("Updated live")).to_be_visible()
    return page


async def expect_streams(keyed: Keyed, number: int) -> None:
    async def as_many() -> bool:
        return await streams(keyed) == number

    try:
        await until(as_many, 5)
    except TimeoutError as error:
        raise AssertionError(await streams(keyed)) from error


@pytest.mark.parametrize("broken", [False, True])
async def test_only_a_visible_page_has_a_stream(
    keyed: Keyed, watched: Watched, *, broken: bool
) -> None:
    """A browser takes six connections to an origin, for all its tabs together. The control keeps
    the stream of a hidden page.
    """
    context = await watched.context()
    if broken:
        await serve_copy(context, copy_of_web(r"document\.hidden \|\| !mayListen", "!mayListen"))
    before = await streams(keyed)
    page = await open_inbox(watched, keyed, context)
    await expect_streams(keyed, before + 1)
    await page.evaluate(HIDE)
    with turns_red(broken):
        await expect_streams(keyed, before)
    await page.evaluate(SHOW)
    await expect(page.get_by_text("Updated live")).to_be_visible()


async def test_a_hidden_page_asks_for_nothing(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """It loads anew when it is shown."""
    page = await open_inbox(watched, keyed)
    await page.evaluate(HIDE)
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url))
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url)).json()["preview_id"]
    row = page.locator(f"a[href$='{preview_id}']")
    await expect(row).to_have_count(0)
    assert asked == []
    await page.evaluate(SHOW)
    await expect(row.first).to_be_visible()


async def test_what_another_asks_for_appears_at_once(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """And what another decides goes."""
    page = await open_inbox(watched, keyed)
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url)).json()["preview_id"]
    await expect(page.locator(f"a[href$='{preview_id}']").first).to_be_visible(timeout=4000)
    await agent.delete(f"/approvals/{preview_id}")
    await expect(page.get_by_text("Nothing waits for you.")).to_be_visible(timeout=4000)


async def test_without_a_stream_the_page_asks_and_says_when(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """As behind a proxy that keeps events back."""
    page = await watched.page()
    await page.route("**/events", lambda it: it.abort())
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    await expect(page.get_by_text("Updated ")).to_contain_text(":")
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url)).json()["preview_id"]
    row = page.locator(f"a[href$='{preview_id}']")
    await expect(row.first).to_be_visible(timeout=20_000)


async def test_a_page_connects_again_and_loads_anew(
    keyed: Keyed, watched: Watched, target: Target, valkey: Valkey
) -> None:
    """What has changed in between is shown, though no event says so."""
    page = await open_inbox(watched, keyed)
    await page.context.set_offline(True)
    with valkey.client() as redis:
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url)).json()["preview_id"]
    await page.context.set_offline(False)
    await expect(page.locator(f"a[href$='{preview_id}']").first).to_be_visible(timeout=20_000)
