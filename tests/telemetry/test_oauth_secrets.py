"""What connects an account is in nothing that is kept, logged, traced or answered."""

import os
from collections.abc import Iterable
from pathlib import Path

import httpx2

from tests.support.collector import Collector
from tests.support.consenting import Browser, asked, connecting_gateway, consent
from tests.support.identity_provider import CLIENT_SECRET, IdentityProvider, identifying
from tests.support.keyed import Keyed
from tests.support.observed import Lines
from tests.support.valkey import Valkey


def leaked(secrets: Iterable[str], places: dict[str, bytes]) -> set[tuple[str, str]]:
    """Where each of these texts is."""
    return {
        (place, secret)
        for place, content in places.items()
        for secret in secrets
        if secret.encode() in content
    }


def secrets_of(provider: IdentityProvider, browser: Browser, *links: str) -> set[str]:
    """All that the provider has given out, what the gateway sent, and the links and cookies."""
    sent = {
        text
        for form in provider.forms
        for name, text in form.items()
        if name in ("client_secret", "code", "code_verifier", "refresh_token", "token")
    }
    given = {*provider.codes, *provider.refresh_tokens, *provider.access_tokens}
    nonces = {consent.asked["nonce"] for consent in provider.codes.values()}
    states = {consent.asked["state"] for consent in provider.codes.values()}
    cookies = {line.partition("=")[2].partition(";")[0] for line in browser.set_cookies} - {""}
    tickets = {link.rpartition("/")[2] for link in links}
    return {CLIENT_SECRET, *sent, *given, *nonces, *states, *cookies, *tickets}


def kept(valkey: Valkey, folder: Path) -> dict[str, bytes]:
    """All of Redis, names included, and all files of the gateway."""
    found = {}
    with valkey.client() as redis:
        names = list(redis.scan_iter())
        found["redis"] = b"\n".join(name + b" " + (redis.dump(name) or b"") for name in names)
        found["strings"] = b"".join(redis.get(it) for it in names if redis.type(it) == b"string")
    for root, _, files in os.walk(folder):
        for name in files:
            found[f"file {name}"] = (Path(root) / name).read_bytes()
    return found


class Walk:
    """All that is done, with what was answered on the way."""

    def __init__(self, keyed: Keyed, provider: IdentityProvider) -> None:
        self.keyed, self.provider = keyed, provider
        self.browser = Browser(keyed)
        self.pages: list[httpx2.Response] = []
        self.links: list[str] = []

    async def connect(self) -> None:
        """Once in vain, once well; a third start does not come back."""
        for refused in (True, False):
            self.provider.claims = {"nonce": "other"} if refused else {}
            self.links.append(await asked(self.keyed.relay, self.provider))
            self.pages.append(await self.browser.show(self.links[-1]))
            pressed = await self.browser.press(self.links[-1])
            self.pages.append(await self.browser.back(await consent(pressed.headers["location"])))
        pending = await self.browser.press(await asked(self.keyed.relay, self.provider))
        await consent(pending.headers["location"])

    async def send(self) -> str:
        """With a new access token; returns the id of the connection."""
        [row] = self.keyed.state["key_cache"].connections("default")
        await self.keyed.state["oauth"].tokens.forget(row)
        params = {"url": f"{self.provider.url}/api", "connection": row.id}
        body = {"action": "http.request", "params": params}
        self.pages.append(await self.keyed.relay.post("/actions/preview", json=body))
        preview_id = self.pages[-1].json()["preview_id"]
        self.pages.append(await self.keyed.relay.execute(preview_id))
        assert self.pages[-1].json()["status"] == "success"
        return row.id

    async def look_and_delete(self, connection_id: str) -> None:
        one = f"/connections/{connection_id}"
        paths = ("/connections", "/audit", "/metrics", "/ready", one)
        self.pages += [await self.keyed.relay.get(path) for path in paths]
        self.pages.append(await self.keyed.relay.delete(one))
        assert self.pages[-1].json()["revocation"]["state"] == "revoked"


async def test_no_secret_of_a_connection_is_anywhere(
    valkey: Valkey, tmp_path: Path, lines: Lines, collector: Collector
) -> None:
    """Neither of one that was connected, nor of one that was refused, used, or revoked."""
    traced = {"otlp_traces_endpoint": collector.endpoint}
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider, **traced) as keyed,
    ):
        walk = Walk(keyed, provider)
        await walk.connect()
        before = kept(valkey, tmp_path)
        connection_id = await walk.send()
        assert provider.sends
        after = kept(valkey, tmp_path)
        await walk.look_and_delete(connection_id)
    pages, browser = walk.pages, walk.browser
    secrets = secrets_of(provider, browser, *walk.links)
    answers = b"".join(page.content + str([*page.headers.multi_items()]).encode() for page in pages)
    # A cookie is for its browser: headers that set it are where it belongs.
    cookies = {line.partition("=")[2].partition(";")[0] for line in browser.set_cookies}
    places = {
        **{f"before {name}": content for name, content in before.items()},
        **{f"after {name}": content for name, content in after.items()},
        **{f"end {name}": content for name, content in kept(valkey, tmp_path).items()},
        "log": lines.text.encode(),
        "spans": collector.raw,
        "answers": answers,
    }
    assert len(secrets) > 12
    assert leaked(secrets - cookies, places) == set()
    assert leaked(cookies - {""}, {**places, "answers": b""}) == set()
    # A control: what is no secret is found in each kind of place.
    found = {place for place, _ in leaked({"ann@x.example", "/oauth/start/"}, places)}
    assert {"answers", "spans", "log", "end file relay.db"} <= found
