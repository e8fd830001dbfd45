"""Protections of Studio, each with a copy that lacks it: there the same check fails."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.broken import copy_of_web, serve_copy, turns_red, with_header
from tests.support.browsing import Watched, altered, key_of, sign_in
from tests.support.keyed import Keyed
from tests.support.target import Target, status

TRUSTED = ("require-trusted-types-for 'script'; trusted-types lit-html", "")
IMAGE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
# Attacks call done() where they succeed. With each: what of the policy stands in its way.
ATTACKS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "script": (
        "const it = document.createElement('script'); window.done = done;"
        "it.append('window.done()'); document.body.append(it);",
        [("script-src 'self'", "script-src 'self' 'unsafe-inline'"), TRUSTED],
    ),
    "markup": ("document.body.innerHTML = '<p>'; done();", [TRUSTED]),
    "style": (
        "document.body.setAttribute('style', 'top: 1px'); document.body.style.top && done();",
        [("style-src 'self'", "style-src 'self' 'unsafe-inline'")],
    ),
    "fetch": (
        "fetch(url, {mode: 'no-cors'}).then(done, () => 0);",
        [("connect-src 'self'", "connect-src *")],
    ),
    "image": (
        "Object.assign(new Image(), {src: url, onload: done});",
        [("img-src 'self'", "img-src *")],
    ),
}
ATTEMPT = """(url) => new Promise((resolve) => {{
  addEventListener('securitypolicyviolation', () => resolve('stopped'));
  const done = () => resolve('done');
  try {{ {attack} }} catch {{}}
}})"""


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("name", ATTACKS)
async def test_the_policy_stops_an_attack(
    keyed: Keyed, watched: Watched, target: Target, name: str, *, broken: bool
) -> None:
    attack, loosened = ATTACKS[name]
    target.answer = status(200, IMAGE, "Content-Type: image/svg+xml")

    def loosen(policy: str) -> str:
        for old, new in loosened:
            assert old in policy
            policy = policy.replace(old, new)
        return policy

    context = await watched.context()
    if broken:
        await with_header(context, "/studio/approvals", "content-security-policy", loosen)
    page = await watched.page(context)
    await page.goto("/studio/approvals")
    await expect(page.get_by_label("API key")).to_be_visible()
    with turns_red(broken):
        assert await page.evaluate(ATTEMPT.format(attack=attack), target.url) == "stopped"
    watched.complaints.clear()


async def from_another_site(page: Page, target: Target, address: str) -> int:
    """Follow a link that stands on a page of another site."""
    link = f'<a href="{address}">here</a>'.encode()
    target.answer = status(200, link, "Content-Type: text/html")
    await page.goto(target.url.replace("127.0.0.1", "localhost"))
    async with page.expect_response(address) as answered:
        await page.get_by_role("link").click()
    return (await answered.value).status


@pytest.mark.parametrize("broken", [False, True])
async def test_a_link_of_another_site_brings_no_cookie(
    keyed: Keyed, watched: Watched, target: Target, *, broken: bool
) -> None:
    """The control drops SameSite."""
    context = await watched.context()
    if broken:
        await with_header(
            context, "/session", "set-cookie", lambda it: it.replace("; SameSite=Strict", "")
        )
    page = await watched.page(context)
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    await context.unroute_all()
    with turns_red(broken):
        assert await from_another_site(page, target, f"{keyed.url}/session") == 401
    watched.complaints.clear()


async def test_a_link_in_a_chat_opens_signed_in(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """The document comes without the cookie. What the page asks for itself brings it."""
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    assert await from_another_site(page, target, f"{keyed.url}/studio/approvals") == 200
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    watched.complaints.clear()


def lie(document: dict[str, Any]) -> None:
    document["wire"]["body"] = document["wire"]["body"].replace("107", "701")


def honest(document: dict[str, Any]) -> None:
    """Change nothing."""


async def opened(
    keyed: Keyed,
    target: Target,
    page: Page,
    note: str,
    change: Callable[[dict[str, Any]], None] = honest,
) -> str:
    """The page of an approval; its id."""
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url, {"note": note})).json()["preview_id"]
    await altered(page, f"**/approvals/{preview_id}", change)
    path = f"/studio/approvals/{preview_id}"
    await sign_in(page, await key_of(keyed, "approver", "ann"), path)
    await expect(page.locator("#digest")).not_to_contain_text("is being compared")
    return str(preview_id)


@pytest.mark.parametrize("broken", [False, True])
async def test_a_long_text_is_shown_whole(
    keyed: Keyed, watched: Watched, target: Target, *, broken: bool
) -> None:
    """The control cuts it at 200 characters."""
    context = await watched.context()
    if broken:
        cut = copy_of_web(r"\.\.\.rows\(text\)\.map", "...rows(text.slice(0, 200)).map")
        await serve_copy(context, cut)
    page = await watched.page(context)
    await opened(keyed, target, page, "a" * 5000)
    with turns_red(broken):
        await expect(page.locator("#body")).to_contain_text("a" * 5000)
    await page.locator("#host").fill("127.0.0.1")
    await expect(page.locator("#approve")).to_be_enabled(enabled=not broken)


@pytest.mark.parametrize("broken", [False, True])
async def test_the_computed_digest_is_sent(
    keyed: Keyed, watched: Watched, target: Target, *, broken: bool
) -> None:
    """Other bytes are shown, and the button, which is off, is turned on by force. The control
    sends the stored digest.
    """
    context = await watched.context()
    if broken:
        stored = copy_of_web(r"shownNow\?\.digest \?\? data\.digest", "data.digest")
        await serve_copy(context, stored)
    page = await watched.page(context)
    preview_id = await opened(keyed, target, page, "107", lie)
    await page.locator("#host").fill("127.0.0.1")
    await expect(page.locator("#approve")).to_be_disabled()
    async with page.expect_response("**/decision") as answered:
        await page.locator("#approve").evaluate("it => { it.disabled = false; it.click() }")
    with turns_red(broken):
        assert (await answered.value).status == 409
    state = (await keyed.relay.get(f"/approvals/{preview_id}")).json()["state"]
    assert state == ("approved" if broken else "pending")
