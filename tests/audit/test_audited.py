"""Who was refused, who read the audit and who changed a key stands in it, from the request on."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.access.api_keys import LIVE, checksum, make
from stores.audit_entries import NOWHERE, Entry
from stores.redis.client import Store
from tests.support.gateways import LOOPBACK, Relay
from tests.support.keyed import BY, Keyed, keyed_gateway
from tests.support.services import audited
from tests.support.shipping import shipped
from tests.support.target import Answer, Target, status
from tests.support.valkey import Valkey

HERE = "127.0.0.1"
FORBIDDEN_TARGET = "http://10.1.1.1/"


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path, preview_limit=3, execute_limit=2) as opened:
        await opened.workspace("w")
        yield opened


@pytest.fixture
async def key(keyed: Keyed) -> str:
    return await keyed.key("operator", workspace="w")


@pytest.fixture
def relay(keyed: Keyed, key: str) -> Relay:
    return keyed.client(key)


async def entries(keyed: Keyed, store: Store, workspace: str = "w") -> list[Entry]:
    """Those of requests and runs, as they are in the database."""
    await shipped(store, keyed.state)
    found = await audited(await keyed.state["database"].open(), workspace)
    return [entry for entry in found if not entry.event.startswith(("workspace.", "key.created"))]


def public_id(key: str) -> str:
    return key[len(LIVE) :][:8]


def said(entry: Entry, *fields: str) -> tuple[Any, ...]:
    return tuple(getattr(entry, name) for name in fields)


async def test_a_stranger_stands_in_no_workspace(keyed: Keyed, store: Store) -> None:
    """Without a key, with junk and with one that nobody has: alike are counted."""
    stranger = keyed.client()
    for secret in (None, None, "junk", make(live=True).text):
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        assert (await stranger.get("/runs", headers=headers)).status_code == 401

    found = await entries(keyed, store, NOWHERE)
    fields = ("event", "principal", "address", "status", "detail", "count")
    assert [said(entry, *fields) for entry in found] == [
        ("request.refused", "anonymous", HERE, "unauthenticated", "GET /runs", count)
        for count in (2, 1, 1)
    ]
    assert await entries(keyed, store) == await entries(keyed, store, "default") == []


async def test_a_wrong_key_of_a_known_id_stands_in_its_workspace(
    keyed: Keyed, store: Store, key: str
) -> None:
    """Whoever owns the key sees that somebody tries, and is not said to have tried himself; the
    audit has nothing of what was sent.
    """
    start = f"{key[:40]}{'a' if key[40] != 'a' else 'b'}{key[41:-6]}"
    headers = {"Authorization": f"Bearer {start}{checksum(start)}", "X-Request-ID": "r-1"}
    assert (await keyed.client().get("/runs/r-7", headers=headers)).status_code == 401

    [entry] = await entries(keyed, store)
    fields = ("principal", "subject", "address", "request_id", "status", "detail")
    assert said(entry, *fields) == (
        "anonymous",
        public_id(key),
        HERE,
        "r-1",
        "unauthenticated",
        "GET /runs/{run_id}",
    )
    assert start[17:40] not in repr(entry)


async def test_a_key_that_is_over_stands_in_its_workspace(
    keyed: Keyed, store: Store, key: str
) -> None:
    """Whoever revoked it sees that somebody still has it."""
    await (await keyed.services()).keys.revoke_key("w", public_id(key), actor=BY)
    await keyed.look()
    assert (await keyed.client(key).get("/runs")).status_code == 401
    [entry] = [one for one in await entries(keyed, store) if one.event == "request.refused"]
    fields = ("subject", "status", "detail")
    assert said(entry, *fields) == (public_id(key), "unauthenticated", "GET /runs")


async def test_a_missing_scope_is_told_of(keyed: Keyed, store: Store, relay: Relay) -> None:
    """With the scope that was missing."""
    assert (await relay.get("/audit")).status_code == 403
    [entry] = await entries(keyed, store)
    fields = ("event", "status", "reason", "detail")
    assert said(entry, *fields) == (
        "request.refused",
        "forbidden",
        "The key lacks the scope audit:read",
        "GET /audit",
    )


async def test_behind_a_trusted_proxy_it_is_the_client_that_is_named(
    valkey: Valkey, tmp_path: Path, store: Store
) -> None:
    """As the proxy saw him, not as he says."""
    headers = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7"}
    async with keyed_gateway(valkey.url, tmp_path, trusted_proxies=LOOPBACK) as keyed:
        assert (await keyed.client().get("/runs", headers=headers)).status_code == 401
        [entry] = await entries(keyed, store, NOWHERE)
    assert entry.address == "198.51.100.7"


async def test_limits_are_told_of(keyed: Keyed, store: Store, relay: Relay, target: Target) -> None:
    """On either route, once for many."""
    ids = [await relay.preview_id(target.url) for _ in range(3)]
    refused = [(await relay.preview(target.url)).status_code for _ in range(2)]
    executed = [(await relay.execute(preview_id)).status_code for preview_id in ids]
    assert (refused, executed) == ([429, 429], [200, 200, 429])

    found = [entry for entry in await entries(keyed, store) if entry.event == "request.refused"]
    assert [said(entry, "status", "detail", "count") for entry in found] == [
        ("rate_limited", "POST /actions/preview", 2),
        ("rate_limited", "POST /actions/execute", 1),
    ]


async def test_the_guard_is_heard_at_a_preview(keyed: Keyed, store: Store, relay: Relay) -> None:
    """What it refuses is a refusal, with its sentence."""
    assert (await relay.preview(FORBIDDEN_TARGET)).status_code == 422
    [entry] = await entries(keyed, store)
    assert said(entry, "status", "detail") == ("target_forbidden", "POST /actions/preview")
    assert entry.reason == "The target is not a public address"


async def test_the_guard_is_heard_at_an_execution(
    keyed: Keyed, store: Store, relay: Relay, valkey: Valkey, tmp_path: Path, target: Target
) -> None:
    """By a gateway that may not reach what another has previewed: refused, and nothing sent."""
    preview_id = await relay.preview_id(target.url)
    async with keyed_gateway(valkey.url, tmp_path, egress_networks=()) as strict:
        strict.relay.headers["Authorization"] = relay.headers["Authorization"]
        assert (await strict.relay.execute(preview_id)).status_code == 422
        found = await entries(strict, store)
    assert [said(entry, "event", "status", "reason") for entry in found] == [
        ("run.intended", "", ""),
        ("run.ended", "not_sent", "target_forbidden"),
        ("request.refused", "target_forbidden", "The target is not a public address"),
    ]
    assert not target.deliveries


async def test_a_run_is_its_intent_and_its_outcome(
    keyed: Keyed, store: Store, relay: Relay, key: str, target: Target
) -> None:
    """Who, from where, in which request; of the idempotency key its hash, of the answer its
    status, and no body.
    """
    target.answer = refusing()
    preview_id = await relay.preview_id(target.url)
    run = (await relay.execute(preview_id, "order-1")).json()
    await relay.execute(preview_id, "order-1")

    intended, ended = await entries(keyed, store)
    fields = ("event", "principal", "run_id", "preview_id", "action")
    same = (public_id(key), run["run_id"], preview_id, "webhook.save")
    assert said(intended, *fields) == ("run.intended", *same)
    assert said(intended, "address", "request_id") == (HERE, run["request_id"])
    assert intended.key_hash == sha256(b"order-1").hexdigest()
    assert intended.digest.startswith("sha256:")
    assert said(ended, *fields) == ("run.ended", *same)
    assert said(ended, "status", "reason", "status_code") == ("failed", "target_status", 500)
    assert "secret-answer" not in repr((intended, ended))


def refusing() -> Answer:
    return status(500, b"secret-answer")


async def test_who_reads_the_audit_stands_in_it(keyed: Keyed, store: Store) -> None:
    """And whoever reads it next sees that."""
    auditor = await keyed.key("auditor", workspace="w")
    reader = keyed.client(auditor)
    assert (await reader.get("/audit", params={"limit": 5})).status_code == 200
    [entry] = await entries(keyed, store)
    assert said(entry, "event", "principal", "detail") == (
        "audit.read",
        public_id(auditor),
        "limit=5",
    )
    listed = (await reader.get("/audit")).json()["entries"]
    assert listed[0]["event"] == "audit.read"


async def test_a_change_of_keys_stands_there_at_once(keyed: Keyed) -> None:
    """With the change, not a second later: made, rotated, revoked; by whom; and no key."""
    admin = await keyed.key("admin", workspace="w")
    client = keyed.client(admin)
    made = (await client.post("/keys", json={"name": "CI", "role": "viewer"})).json()
    other = (await client.post(f"/keys/{made['key']['id']}/rotate", json={})).json()
    await client.delete(f"/keys/{other['key']['id']}")

    found = await audited(await keyed.state["database"].open(), "w")
    fields = ("event", "subject", "principal", "address")
    who = (public_id(admin), HERE)
    assert [said(entry, *fields) for entry in found[-3:]] == [
        ("key.created", made["key"]["id"], *who),
        ("key.rotated", made["key"]["id"], *who),
        ("key.revoked", other["key"]["id"], *who),
    ]
    assert not any(answer["secret"][17:] in repr(found) for answer in (made, other))
