"""The audit records who was refused, who read it and who changed a key."""

import asyncio
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
    """The audit entries of requests and runs, as the database has them."""
    await shipped(store, keyed.state)
    found = await audited(await keyed.state["database"].open(), workspace)
    return [entry for entry in found if not entry.event.startswith(("workspace.", "key.created"))]


def public_id(key: str) -> str:
    return key[len(LIVE) :][:8]


def fields_of(entry: Entry, *fields: str) -> tuple[Any, ...]:
    return tuple(getattr(entry, name) for name in fields)


async def test_an_unknown_key_is_audited_without_a_workspace(keyed: Keyed, store: Store) -> None:
    """Requests without a key, with junk and with an unknown key; like ones are counted."""
    stranger = keyed.client()
    # At once, since only those of a moment are counted together.
    both = await asyncio.gather(stranger.get("/runs"), stranger.get("/runs"))
    assert [it.status_code for it in both] == [401, 401]
    for secret in ("junk", make(live=True).text):
        headers = {"Authorization": f"Bearer {secret}"}
        assert (await stranger.get("/runs", headers=headers)).status_code == 401

    found = await entries(keyed, store, NOWHERE)
    fields = ("event", "principal", "address", "status", "detail", "count")
    assert [fields_of(entry, *fields) for entry in found] == [
        ("request.refused", "anonymous", HERE, "unauthenticated", "GET /runs", count)
        for count in (2, 1, 1)
    ]
    assert await entries(keyed, store) == await entries(keyed, store, "default") == []


async def test_a_wrong_secret_of_a_known_key_is_audited_in_its_workspace(
    keyed: Keyed, store: Store, key: str
) -> None:
    """The owner sees the attempt, and is not named as its principal. The audit has nothing of the
    secret.
    """
    start = f"{key[:40]}{'a' if key[40] != 'a' else 'b'}{key[41:-6]}"
    headers = {"Authorization": f"Bearer {start}{checksum(start)}", "X-Request-ID": "r-1"}
    assert (await keyed.client().get("/runs/r-7", headers=headers)).status_code == 401

    [entry] = await entries(keyed, store)
    fields = ("principal", "subject", "address", "request_id", "status", "detail")
    assert fields_of(entry, *fields) == (
        "anonymous",
        public_id(key),
        HERE,
        "r-1",
        "unauthenticated",
        "GET /runs/{run_id}",
    )
    assert start[17:40] not in repr(entry)


async def test_a_revoked_key_is_audited_in_its_workspace(
    keyed: Keyed, store: Store, key: str
) -> None:
    """Its former workspace sees that the key is still in use."""
    await (await keyed.services()).keys.revoke_key("w", public_id(key), actor=BY)
    await keyed.look()
    assert (await keyed.client(key).get("/runs")).status_code == 401
    [entry] = [one for one in await entries(keyed, store) if one.event == "request.refused"]
    fields = ("subject", "status", "detail")
    assert fields_of(entry, *fields) == (public_id(key), "unauthenticated", "GET /runs")


async def test_a_missing_scope_is_audited(keyed: Keyed, store: Store, relay: Relay) -> None:
    """The entry names the missing scope."""
    assert (await relay.get("/audit")).status_code == 403
    [entry] = await entries(keyed, store)
    fields = ("event", "status", "reason", "detail")
    assert fields_of(entry, *fields) == (
        "request.refused",
        "forbidden",
        "The key lacks the scope audit:read",
        "GET /audit",
    )


async def test_behind_a_trusted_proxy_the_client_is_named(
    valkey: Valkey, tmp_path: Path, store: Store
) -> None:
    """With the address that the proxy saw, not the one that the client claims."""
    headers = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7"}
    async with keyed_gateway(valkey.url, tmp_path, trusted_proxies=LOOPBACK) as keyed:
        assert (await keyed.client().get("/runs", headers=headers)).status_code == 401
        [entry] = await entries(keyed, store, NOWHERE)
    assert entry.address == "198.51.100.7"


async def test_rate_limits_are_audited(
    keyed: Keyed, store: Store, relay: Relay, target: Target
) -> None:
    """On both endpoints; many refusals make one entry."""
    ids = [await relay.preview_id(target.url) for _ in range(3)]
    refused = [(await relay.preview(target.url)).status_code for _ in range(2)]
    executed = [(await relay.execute(preview_id)).status_code for preview_id in ids]
    assert (refused, executed) == ([429, 429], [200, 200, 429])

    found = [entry for entry in await entries(keyed, store) if entry.event == "request.refused"]
    assert [fields_of(entry, "status", "detail", "count") for entry in found] == [
        ("rate_limited", "POST /actions/preview", 2),
        ("rate_limited", "POST /actions/execute", 1),
    ]


async def test_a_refused_target_is_audited_at_the_preview(
    keyed: Keyed, store: Store, relay: Relay
) -> None:
    """The refusal has the guard's sentence."""
    assert (await relay.preview(FORBIDDEN_TARGET)).status_code == 422
    [entry] = await entries(keyed, store)
    assert fields_of(entry, "status", "detail") == ("target_forbidden", "POST /actions/preview")
    assert entry.reason == "The target is not a public address"


async def test_a_refused_target_is_audited_at_the_execution(
    keyed: Keyed, store: Store, relay: Relay, valkey: Valkey, tmp_path: Path, target: Target
) -> None:
    """A gateway that may not reach the target of another gateway's preview refuses and sends
    nothing.
    """
    preview_id = await relay.preview_id(target.url)
    async with keyed_gateway(valkey.url, tmp_path, egress_networks=()) as strict:
        strict.relay.headers["Authorization"] = relay.headers["Authorization"]
        assert (await strict.relay.execute(preview_id)).status_code == 422
        found = await entries(strict, store)
    assert [fields_of(entry, "event", "status", "reason") for entry in found] == [
        ("run.intended", "", ""),
        ("run.ended", "not_sent", "target_forbidden"),
        (
            "request.refused",
            "target_forbidden",
            "The preview allowed this target, which is refused now: "
            "The target is not a public address",
        ),
    ]
    assert not target.deliveries


async def test_a_run_is_audited_with_its_intent_and_its_outcome(
    keyed: Keyed, store: Store, relay: Relay, key: str, target: Target
) -> None:
    """The entries have the principal, address and request, the hash of the idempotency key and the
    status of the answer, and no body.
    """
    target.answer = refusing()
    preview_id = await relay.preview_id(target.url)
    run = (await relay.execute(preview_id, "order-1")).json()
    await relay.execute(preview_id, "order-1")

    intended, ended = await entries(keyed, store)
    fields = ("event", "principal", "run_id", "preview_id", "action")
    same = (public_id(key), run["run_id"], preview_id, "webhook.save")
    assert fields_of(intended, *fields) == ("run.intended", *same)
    assert fields_of(intended, "address", "request_id") == (HERE, run["request_id"])
    assert intended.key_hash == sha256(b"order-1").hexdigest()
    assert intended.digest.startswith("sha256:")
    assert fields_of(ended, *fields) == ("run.ended", *same)
    assert fields_of(ended, "status", "reason", "status_code") == ("failed", "target_status", 500)
    assert "secret-answer" not in repr((intended, ended))


def refusing() -> Answer:
    return status(500, b"secret-answer")


async def test_a_reading_of_the_audit_is_audited(keyed: Keyed, store: Store) -> None:
    """The next reader sees it."""
    auditor = await keyed.key("auditor", workspace="w")
    reader = keyed.client(auditor)
    assert (await reader.get("/audit", params={"limit": 5})).status_code == 200
    [entry] = await entries(keyed, store)
    assert fields_of(entry, "event", "principal", "detail") == (
        "audit.read",
        public_id(auditor),
        "limit=5",
    )
    page = (await reader.get("/audit")).json()["entries"]
    assert page[0]["event"] == "audit.read"


async def test_a_change_of_keys_is_audited_at_once(keyed: Keyed) -> None:
    """In the transaction of the change, not a second later: created, rotated, revoked, and the
    actor; no key.
    """
    admin = await keyed.key("admin", workspace="w")
    client = keyed.client(admin)
    made = (await client.post("/keys", json={"name": "CI", "role": "viewer"})).json()
    other = (await client.post(f"/keys/{made['key']['id']}/rotate", json={})).json()
    await client.delete(f"/keys/{other['key']['id']}")

    found = await audited(await keyed.state["database"].open(), "w")
    fields = ("event", "subject", "principal", "address")
    who = (public_id(admin), HERE)
    assert [fields_of(entry, *fields) for entry in found[-3:]] == [
        ("key.created", made["key"]["id"], *who),
        ("key.rotated", made["key"]["id"], *who),
        ("key.revoked", other["key"]["id"], *who),
    ]
    assert not any(answer["secret"][17:] in repr(found) for answer in (made, other))
