"""A person signs a browser in with an API key, works with a cookie, and signs out everywhere."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from stores.redis.client import Store
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey

PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path) as opened:
        yield opened


async def browser(keyed: Keyed, key: str) -> Relay:
    """One that is signed in. httpx keeps Secure cookies from http, a browser sends them to a local
    address: the plain one stands for both.
    """
    client = keyed.client()
    assert (await client.post("/session", json={"key": key}, headers=PAGE)).status_code == 204
    return client


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_session_may_what_its_key_may(keyed: Keyed, target: Target) -> None:
    """And nothing else. A program's Authorization beats the cookie."""
    client = await browser(keyed, await keyed.key("operator"))
    who = (await client.get("/session")).json()
    assert (who["workspace"], who["role"], who["open"]) == ("default", "operator", False)
    assert who["until"] < who["latest_until"]
    preview = {"action": "webhook.save", "params": {"url": target.url}}
    assert (await client.post("/actions/preview", json=preview, headers=PAGE)).status_code == 200
    assert code(await client.get("/keys")) == (403, "forbidden")
    own = {"Authorization": f"Bearer {keyed.admin}"}
    as_admin = (await client.get("/session", headers=own)).json()
    assert (as_admin["role"], as_admin["until"]) == ("admin", None)


async def test_a_page_of_another_site_changes_nothing(keyed: Keyed, target: Target) -> None:
    """Neither with the cookie, nor by signing a browser in."""
    client = await browser(keyed, keyed.admin)
    preview = {"action": "webhook.save", "params": {"url": target.url}}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
        answer = await client.post("/actions/preview", json=preview, headers=headers)
        assert code(answer) == (403, "cross_site")
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    signed_in = await client.post("/session", json={"key": keyed.admin}, headers=elsewhere)
    assert code(signed_in) == (403, "cross_site")


async def test_a_wrong_key_starts_no_session(keyed: Keyed) -> None:
    """Its text is in no answer, and a known id is audited in its workspace."""
    client = keyed.client()
    other = "y" if keyed.admin.endswith("x") else "x"
    for key in ("secret", keyed.admin[:-1] + other, "rly_live_" + "0" * 46):
        answer = await client.post("/session", json={"key": key}, headers=PAGE)
        assert code(answer) == (401, "unauthenticated")
        assert key not in answer.text
    assert code(await client.get("/session")) == (401, "unauthenticated")


async def test_sign_out_ends_every_copy_of_the_cookie(
    keyed: Keyed, valkey: Valkey, tmp_path: Path
) -> None:
    """On another gateway too, once it has read its keys again; the key still works."""
    client = await browser(keyed, keyed.admin)
    kept = client.cookies["relay_session"]
    async with keyed_gateway(valkey.url, tmp_path) as other:
        copy = other.client()
        copy.cookies.set("relay_session", kept)
        assert (await copy.get("/session")).status_code == 200
        signed_out = await client.delete("/session", headers=PAGE)
        assert signed_out.status_code == 204
        assert all("Max-Age=0" in it for it in signed_out.headers.get_list("set-cookie"))
        await other.look()
        assert code(await copy.get("/session")) == (401, "unauthenticated")
    client.cookies.set("relay_session", kept)
    assert code(await client.get("/session")) == (401, "unauthenticated")
    assert (await keyed.relay.get("/session")).status_code == 200


async def test_a_session_ends_with_its_key(keyed: Keyed) -> None:
    """The answer has the browser drop the cookie."""
    client = await browser(keyed, await keyed.key("viewer"))
    key_id = (await client.get("/session")).json()["key"]
    await keyed.relay.delete(f"/keys/{key_id}")
    refused = await client.get("/runs")
    assert code(refused) == (401, "unauthenticated")
    assert all("Max-Age=0" in it for it in refused.headers.get_list("set-cookie"))


async def test_sessions_are_audited(keyed: Keyed, store: Store) -> None:
    """Their start and their end, by the key; no cookie stands there."""
    client = await browser(keyed, keyed.admin)
    cookie = client.cookies["relay_session"]
    await client.delete("/session", headers=PAGE)
    await keyed.state["journal"].write()
    await shipped(store, keyed.state)
    entries = (await keyed.relay.get("/audit")).json()["entries"]
    found = {it["event"]: it for it in entries}
    assert {"session.started", "session.ended"} <= set(found)
    assert found["session.started"]["subject"] == found["session.ended"]["subject"]
    assert cookie not in str(entries)
