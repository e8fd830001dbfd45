"""A person signs in with a key that stays nowhere in the browser, and signs out."""

from playwright.async_api import expect

from tests.support.browsing import Watched, key_of, sign_in
from tests.support.desk import Desk
from tests.support.keyed import Keyed
from tests.support.target import Target, status


async def test_the_key_stays_nowhere(keyed: Keyed, watched: Watched) -> None:
    """Not in storage, address, document or cookies that scripts may read."""
    key = await key_of(keyed, "approver", "ann")
    page = await watched.page()
    await sign_in(page, key)
    kept = "JSON.stringify([localStorage, sessionStorage, location.href, document.cookie])"
    assert key not in await page.evaluate(kept)
    assert key not in await page.content()
    (cookie,) = [it for it in await page.context.cookies() if "relay_session" in it["name"]][:1]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    await expect(page.get_by_text("ann, approver, workspace default")).to_be_visible()


async def test_a_wrong_key_is_refused_in_words(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await page.goto("/studio/approvals")
    await page.get_by_label("API key").fill("rly_live_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def test_after_signing_out_nothing_is_shown(keyed: Keyed, watched: Watched) -> None:
    """Nor after the back button."""
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.reload()
    await page.go_back()
    await page.goto("/studio/approvals")
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_session_ends_with_its_key(keyed: Keyed, watched: Watched) -> None:
    """The page asks for another key, within the time of one look."""
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    key_id = (await page.evaluate("fetch('/session').then((it) => it.json())"))["key"]
    await keyed.relay.delete(f"/keys/{key_id}")
    await keyed.look()
    await expect(page.get_by_label("API key")).to_be_visible(timeout=10_000)


async def test_an_old_cookie_is_refused_after_signing_out(desk: Desk) -> None:
    """On the gateway, not only in this browser."""
    page = await desk.person()
    kept = [it for it in await page.context.cookies() if it["name"] == "relay_session"]
    assert len(kept) == 1
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.context.add_cookies(kept)  # type: ignore[arg-type]
    await page.goto("/studio/approvals")
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


async def test_a_key_is_pasted(keyed: Keyed, watched: Watched) -> None:
    """Password managers fill the field too."""
    key = await key_of(keyed, "approver", "ann")
    permissions = ["clipboard-read", "clipboard-write"]
    page = await watched.page(await watched.context(permissions=permissions))
    await page.goto("/studio/approvals")
    field = page.get_by_label("API key")
    await expect(field).to_have_attribute("autocomplete", "current-password")
    await page.evaluate("(it) => navigator.clipboard.writeText(it)", key)
    await field.press("Control+v")
    await field.press("Enter")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert key not in page.url


async def test_a_page_of_another_origin_cannot_sign_in(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    target.answer = status(200, b"<p>", "Content-Type: text/html")
    page = await watched.page()
    await page.goto(target.url.replace("127.0.0.1", "localhost"))
    key = await key_of(keyed, "approver", "ann")
    post = """([url, key]) => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include',
      body: JSON.stringify({key})}).then((it) => it.type, (it) => String(it))"""
    await page.evaluate(post, [f"{keyed.url}/session", key])
    assert await page.context.cookies(keyed.url) == []
    watched.complaints.clear()
