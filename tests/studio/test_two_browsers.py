"""What one person does, others see: in other browsers, and at other gateways."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest
from playwright.async_api import BrowserContext, Page, expect

from gateway.access.sessions import PLAIN_COOKIE
from tests.support.broken import turns_red
from tests.support.browsing import Watched, key_of, sign_in
from tests.support.deciding import client_of
from tests.support.gateways import Relay, until
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

SHOWN_WITHIN, ENDED_WITHIN = 1.0, 5.0
# A busy machine only adds: the least counts.
TRIES = 3


@pytest.fixture
async def replica(keyed: Keyed, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    """Another gateway with the same store and the same database."""
    async with keyed_gateway(valkey.url, tmp_path / "data") as opened:
        yield opened


async def seconds_until_shown(agent: Relay, target: Target, ann: Page, ben: Page) -> float:
    """From the answer that Ann gets to her decision to what Ben sees."""
    preview_id = await agent.preview_id(target.url)
    for page in (ann, ben):
        await page.goto(f"/studio/approvals/{preview_id}")
        await expect(page.locator("#deny")).to_be_enabled()
    async with ann.expect_response("**/decision"):
        await ann.locator("#deny").click()
    started = monotonic()
    await expect(ben.locator("#state")).to_contain_text("Denied")
    return monotonic() - started


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broken", [False, True])
async def test_a_decision_shows_to_another_within_a_second(
    keyed: Keyed, watched: Watched, target: Target, *, broken: bool
) -> None:
    """The control has no stream, so it asks every 10 seconds."""
    agent = await client_of(keyed, "operator", "robot")
    ann, ben = [await watched.page() for _ in range(2)]
    if broken:
        await ben.route("**/events", lambda it: it.abort())
    for page, name in ((ann, "ann"), (ben, "ben")):
        await sign_in(page, await key_of(keyed, "approver", name))
    took = [await seconds_until_shown(agent, target, ann, ben) for _ in range(TRIES)]
    with turns_red(broken):
        assert min(took) < SHOWN_WITHIN, took


async def seconds_until_refused(gateway: Keyed, cookie: str) -> float:
    """Until this gateway takes the cookie no longer."""
    browser = gateway.client()
    browser.headers["Cookie"] = f"{PLAIN_COOKIE}={cookie}"
    started = monotonic()

    async def refused() -> bool:
        return (await browser.get("/session")).status_code == 401

    await until(refused)
    return monotonic() - started


async def cookie_of(context: BrowserContext) -> str:
    (found,) = {it["value"] for it in await context.cookies() if "relay_session" in it["name"]}
    return found


async def accepted(gateway: Keyed, cookie: str) -> int:
    browser = gateway.client()
    browser.headers["Cookie"] = f"{PLAIN_COOKIE}={cookie}"
    return (await browser.get("/session")).status_code


async def test_signing_out_is_known_everywhere(
    keyed: Keyed, replica: Keyed, watched: Watched
) -> None:
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    cookie = await cookie_of(page.context)
    await replica.look()
    assert await accepted(replica, cookie) == 200
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    took = await asyncio.gather(*(seconds_until_refused(it, cookie) for it in (keyed, replica)))
    assert max(took) < ENDED_WITHIN


async def test_the_session_of_a_revoked_key_ends_everywhere(
    keyed: Keyed, replica: Keyed, watched: Watched
) -> None:
    """The page that is open asks for another key."""
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    cookie = await cookie_of(page.context)
    await replica.look()
    assert await accepted(replica, cookie) == 200
    key_id = (await page.evaluate("fetch('/session').then((it) => it.json())"))["key"]
    assert (await replica.relay.delete(f"/keys/{key_id}")).status_code in (200, 204)
    took = await asyncio.gather(*(seconds_until_refused(it, cookie) for it in (keyed, replica)))
    assert max(took) < ENDED_WITHIN
    await expect(page.get_by_label("API key")).to_be_visible()
