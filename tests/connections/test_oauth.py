"""An account is connected by its owner, in the browser that started it, and not otherwise."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.consenting import (
    ACTIONS,
    PUBLIC,
    Browser,
    asked,
    connecting_gateway,
    connections,
    consent,
)
from tests.support.identity_provider import TENANT, IdentityProvider, identifying
from tests.support.valkey import Valkey


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@pytest.mark.parametrize("kind", ACTIONS)
async def test_an_account_is_connected(kind: str, valkey: Valkey, tmp_path: Path) -> None:
    """With what the action needs; connected again it stays one connection."""
    async with (
        identifying(kind) as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        for _ in range(2):
            done = await Browser(keyed).connect(await asked(keyed.relay, provider))
            assert done.status_code == 200, done.text
            assert "Connected" in done.text
            [one] = await connections(keyed.relay)
            assert (one["provider"], one["state"]) == (kind, "active")
        account = {"slack": "Example", "github": "ann"}.get(kind, "ann@x.example")
        assert one["account"] == account
        assert one["tenant"] == {"microsoft": TENANT, "slack": "T1"}.get(kind)
        needs = {"google": "gmail.send", "microsoft": "Mail.Send", "slack": "chat:write"}
        assert any(scope.endswith(needs.get(kind, "repo")) for scope in one["scopes"])
        assert one["refreshed_at"]
        assert all(form["client_secret"] for form in provider.forms)


@pytest.mark.parametrize("kind", ACTIONS)
async def test_what_the_provider_is_asked(kind: str, valkey: Valkey, tmp_path: Path) -> None:
    """PKCE and a nonce where they are known; what brings a refresh token; one redirect URI."""
    async with (
        identifying(kind) as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        start_url = await asked(keyed.relay, provider, expected_account="ann@x.example")
        location = (await Browser(keyed).press(start_url)).headers["location"]
    said = parameters(location)
    assert location.startswith(provider.url)
    assert said["redirect_uri"] == f"{PUBLIC}/oauth/callback"
    assert (said["response_type"], len(said["state"])) == ("code", 43)
    assert ("code_challenge" in said) == (kind != "slack")
    assert said.get("code_challenge_method", "S256") == "S256"
    assert ("nonce" in said) == (kind in ("google", "microsoft"))
    assert ("login_hint" in said) == (kind in ("google", "microsoft"))
    if kind == "google":
        assert (said["access_type"], said["prompt"]) == ("offline", "consent")
        assert "include_granted_scopes" not in said
    if kind == "microsoft":
        assert "offline_access" in said["scope"]
        assert said["prompt"] == "select_account"
        assert "/common/" in location


async def test_looking_at_the_start_changes_nothing(valkey: Valkey, tmp_path: Path) -> None:
    """Programs open links for a preview of them: no cookie comes, and the ticket stays."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        start_url = await asked(keyed.relay, provider, expected_account="<ann>@x.example")
        browser = Browser(keyed)
        for _ in range(2):
            page = await browser.show(start_url)
            assert page.status_code == 200
            assert "gmail.send" in page.text
            assert "<b>default</b>" in page.text
            assert "&lt;ann&gt;@x.example" in page.text
            assert "<script" not in page.text
        assert browser.cookies == {}
        policy = page.headers["content-security-policy"]
        assert f"form-action 'self' {provider.url};" in policy
        assert page.headers["cache-control"] == "no-store"
        await browser.press(start_url)
        assert (await browser.show(start_url)).status_code == 400
        assert (await browser.press(start_url)).status_code == 400


async def test_the_button_belongs_to_the_page(valkey: Valkey, tmp_path: Path) -> None:
    """A page of another site cannot press it, and does not spend the ticket."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        start_url = await asked(keyed.relay, provider)
        browser = Browser(keyed)
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"X-Nothing": "1"},
        ):
            assert (await browser.press(start_url, **headers)).status_code == 403
        assert browser.cookies == {}
        pressed = await browser.press(start_url)
        assert pressed.status_code == 303
        assert pressed.headers["referrer-policy"] == "no-referrer"
        [cookie] = browser.set_cookies
        assert re.fullmatch(
            r"__Host-relay_oauth_[0-9a-f]{16}=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; "
            r"Max-Age=600; Secure",
            cookie,
        )


async def test_another_browser_connects_nothing(valkey: Valkey, tmp_path: Path) -> None:
    """An attacker hands out the link to the provider: the victim's mailbox must not land in the
    attacker's workspace. The same callback in the right browser would have worked.
    """
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        attacker, victim = Browser(keyed), Browser(keyed)
        pressed = await attacker.press(await asked(keyed.relay, provider))
        # The victim has a cookie of an own start, too.
        await victim.press(await asked(keyed.relay, provider))
        refused = await victim.back(await consent(pressed.headers["location"]))
        assert refused.status_code == 400
        assert "Another browser started this" in refused.text
        assert provider.forms == []  # the code stays unused
        assert await connections(keyed.relay) == []
        done = await attacker.connect(await asked(keyed.relay, provider))
        assert done.status_code == 200
        assert len(await connections(keyed.relay)) == 1


async def test_a_state_works_once(valkey: Valkey, tmp_path: Path) -> None:
    """The callback of a browser's history connects nothing, and shows no second code."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        browser = Browser(keyed)
        pressed = await browser.press(await asked(keyed.relay, provider))
        callback = await consent(pressed.headers["location"])
        cookies = {**browser.cookies}
        assert (await browser.back(callback)).status_code == 200
        assert browser.cookies == dict.fromkeys(cookies, "")
        browser.cookies = cookies
        again = await browser.back(callback)
        assert (again.status_code, len(provider.forms)) == (400, 1)
        for path in ("/oauth/callback", "/oauth/callback?state=x&code=y", f"{callback}&code=z"):
            assert (await browser.back(path)).status_code == 400


async def test_who_may_ask_for_a_link(valkey: Valkey, tmp_path: Path) -> None:
    """An administrator with a live key; a provider that is not configured says what to set."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        body = {"actions": ["google.gmail.send"]}
        for role, live in (("viewer", True), ("operator", True), ("admin", False)):
            relay = keyed.client(await keyed.key(role, live=live))
            answer = await relay.post("/connections/google/authorize", json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        unset = await keyed.relay.post("/connections/slack/authorize", json=body)
        assert (unset.status_code, unset.json()["code"]) == (501, "provider_not_configured")
        assert "SLACK_CLIENT_ID" in unset.json()["detail"]
        assert (await keyed.relay.post("/connections/x/authorize", json=body)).status_code == 404
        wrong = {"actions": ["google.gmail.send", "slack.chat.post_message"]}
        answer = await keyed.relay.post("/connections/google/authorize", json=wrong)
        assert answer.json()["errors"][0]["pointer"] == "/actions/1"


async def test_a_key_that_has_ended_connects_nothing(valkey: Valkey, tmp_path: Path) -> None:
    """Ten minutes lie between the link and the callback."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        secret = await keyed.key("admin")
        browser = Browser(keyed)
        pressed = await browser.press(await asked(keyed.client(secret), provider))
        listed = (await keyed.relay.get("/keys")).json()["keys"]
        [made] = [one for one in listed if one["name"] == "test"]
        assert (await keyed.relay.delete(f"/keys/{made['id']}")).status_code == 200
        refused = await browser.back(await consent(pressed.headers["location"]))
        assert "not valid any more" in refused.text
        assert await connections(keyed.relay) == []


def test_the_provider_of_the_tests_is_strict() -> None:
    """A provider that accepts anything would prove nothing."""
    provider = IdentityProvider()
    provider.url = "http://provider"
    form = {"grant_type": "refresh_token", "refresh_token": "r", "client_secret": "wrong"}
    assert provider._said(form)[1]["error"] == "invalid_client"
    form["client_secret"] = provider.client_secret
    assert provider._said(form)[1]["error"] == "invalid_grant"
    form["refresh_token"] = provider.refresh_token()
    assert provider._said(form)[0] == 200
