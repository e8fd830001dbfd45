"""No secret leaves Relay in a response, a log line, a span, a metric or the audit."""

import base64
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from standardwebhooks import Webhook

from gateway.access.api_keys import CHECKSUM, SECRET, make
from gateway.config.secret import Secret
from stores.audit_entries import NOWHERE, Entry
from stores.redis.client import Store
from stores.redis.outbox import Outbox
from tests.support.collector import Collector
from tests.support.gateways import Relay, gateway, until
from tests.support.keyed import BY, Keyed, keyed_gateway
from tests.support.observed import GRAFANA, Lines
from tests.support.target import Target, reset, status
from tests.support.valkey import Valkey

CANARY = "hunter2-0123456789-canary"
HOUSE = {
    "key_peppers": b"pepper-canary-0123456789-0123456",
    "audit_keys": b"audits-canary-0123456789-0123456",
    "encryption_keys": b"sealer-canary-0123456789-0123456",
}
PASSWORD = "dbpass-canary-0123456789"


def shapes(secret: bytes) -> set[bytes]:
    """The secret as text, hex, base64 and repr, also as a part of something longer."""
    written = {secret, secret.hex().encode(), repr(secret)[2:-1].encode()}
    for start in range(3):
        whole = secret[start:][: (len(secret) - start) // 3 * 3]
        written |= {base64.b64encode(whole), base64.urlsafe_b64encode(whole)}
    return written


def leaks(canaries: dict[str, bytes], slots: dict[str, bytes]) -> set[tuple[str, str]]:
    """Which canary is in which place."""
    assert all(slots.values()), {name for name, what in slots.items() if not what}
    return {
        (canary, place)
        for canary, secret in canaries.items()
        for place, what in slots.items()
        if any(shape in what for shape in shapes(secret))
    }


async def executed(relay: Relay, target: Target) -> bytes:
    """Run with secrets in URL, headers, body, response and key. Returns the problems."""
    secret = {
        "url": f"{target.url}/{CANARY}?token={CANARY}",
        "headers": {"Authorization": f"Bearer {CANARY}", "X-Key": CANARY},
        "body": {"card": CANARY},
    }
    asked = {"action": "webhook.save", "params": secret}
    for answer in (status(200, CANARY.encode()), status(500, CANARY.encode()), reset):
        target.answer = answer
        made = await relay.post("/actions/preview", json=asked)
        assert made.status_code == 200, made.text
        preview_id = made.json()["preview_id"]
        for _ in range(2):
            ran = await relay.execute(preview_id, f"{CANARY}-{preview_id}")
            assert ran.status_code == 200
    unreachable = {**secret, "url": f"http://127.0.0.1:1/{CANARY}?t={CANARY}"}
    forbidden = {**secret, "url": f"http://10.0.0.1/{CANARY}"}
    wrong = {**secret, "method": CANARY}
    refused = []
    for params in (unreachable, forbidden, wrong):
        made = await relay.post("/actions/preview", json={**asked, "params": params})
        if made.status_code == 200:
            made = await relay.execute(made.json()["preview_id"])
        refused.append(made)
    refused += [await relay.get(f"/runs/{CANARY}"), await relay.get(f"/nowhere?{CANARY}")]
    assert all(answer.status_code >= 400 for answer in refused)
    return b"".join(answer.content for answer in refused)


async def refused(keyed: Keyed, unknown: str) -> bytes:
    """Problems for a malformed key, an unknown key, a key without the scope, and a key where its id
    belongs.
    """
    viewer = await keyed.key("viewer")
    headers = [f"Bearer {CANARY}", f"Basic {CANARY}", CANARY, f"Bearer {unknown}"]
    principal = keyed.client()
    answers = [await principal.get("/actions", headers={"Authorization": one}) for one in headers]
    answers.append(await keyed.client(viewer).preview(f"https://{CANARY}.example"))
    answers.append(await keyed.relay.delete(f"/keys/{keyed.admin}"))
    assert [answer.status_code for answer in answers] == [401] * len(headers) + [403, 404]
    return b"".join(answer.content for answer in answers)


def contents(client: Any) -> Iterable[bytes]:
    """Every key of Redis and its value."""
    for key in client.scan_iter():
        yield key
        match client.type(key):
            case b"hash":
                yield from (part for pair in client.hgetall(key).items() for part in pair)
            case b"stream":
                yield repr(client.xrange(key)).encode()
            case b"zset":
                yield from client.zrange(key, 0, -1)
            case b"string":
                yield client.get(key)
            case kind:
                pytest.fail(f"what is in {key!r}, of the kind {kind!r}?")


def outboxes(client: Redis) -> bytes:
    """Audit entries that wait in Redis."""
    return b"".join(repr(client.xrange(key)).encode() for key in client.keys("*:outbox"))


def files(folder: Path) -> bytes:
    return b"".join((folder / name).read_bytes() for name in ("relay.db", "relay.db-wal"))


def audited(folder: Path) -> bytes:
    with sqlite3.connect(folder / "relay.db") as database:
        tables = ("audit", "audit_heads", "audit_checkpoints")
        rows = [database.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    database.close()
    return repr(rows).encode()


async def listed(relay: Relay) -> bytes:
    """All that Relay lists about itself and its data."""
    paths = (
        "/keys /secrets /audit /runs /ready /metrics /version /openapi.json /receipts/keys".split()
    )
    answers = [await relay.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return b"".join(answer.content for answer in answers)


async def shipped(client: Redis) -> None:
    """Wait until all audit entries are in the database."""

    async def nothing_waits() -> bool:
        return not any(client.xlen(key) for key in client.keys("*:outbox"))

    await until(nothing_waits)


async def kept(keyed: Keyed, client: Redis, folder: Path) -> dict[str, bytes]:
    await keyed.state["journal"].write()
    found = {"redis": b"\n".join(contents(client)), "outboxes": outboxes(client)}
    await shipped(client)
    return {**found, "database": files(folder), "audit": audited(folder)}


def telemetry_of(collector: Collector, lines: Lines) -> dict[str, bytes]:
    """Lines and spans of a closed gateway. Spans whose path the caller wrote are left out."""
    spans = [span for span in collector.spans if CANARY not in span.attributes.get("url.path", "")]
    return {"lines": lines.text.encode(), "spans": repr(spans).encode()}


async def test_no_secret_leaks(
    valkey: Valkey, collector: Collector, target: Target, lines: Lines, tmp_path: Path
) -> None:
    """Only Redis holds what a run consists of, and only the database sealed secrets."""
    telemetry = {"otlp_traces_endpoint": collector.endpoint, "grafana_url": GRAFANA}
    house = {name: (Secret(secret),) for name, secret in HOUSE.items()}
    with valkey.client() as client:
        async with keyed_gateway(valkey.url, tmp_path, **telemetry, **house) as keyed:
            signing = (
                await (await keyed.services()).secrets.create_secret("default", actor=BY)
            ).secret
            await keyed.look()
            unknown = make(live=True).text
            problems = await executed(keyed.relay, target) + await refused(keyed, unknown)
            slots = {"problems": problems, "answers": await listed(keyed.relay)}
            slots |= await kept(keyed, client, tmp_path)
    slots |= telemetry_of(collector, lines)

    first = target.deliveries[0]
    Webhook(signing).verify(first.body, {name.lower(): value for name, value in first.headers})
    assert len(target.deliveries) == 3
    canaries = {
        **HOUSE,
        "key": keyed.admin[-SECRET - CHECKSUM :].encode(),
        "unknown key": unknown[-SECRET - CHECKSUM :].encode(),
        "signing secret": base64.b64decode(signing.removeprefix("whsec_")),
    }
    assert leaks(canaries, slots) == set()
    callers = {"caller's": CANARY.encode()}
    # The search finds what is there.
    assert leaks(callers, {"redis": slots.pop("redis")}) == {("caller's", "redis")}
    assert leaks(callers, slots) == set()


async def test_the_password_of_a_database_does_not_leak(
    valkey: Valkey, store: Store, collector: Collector, lines: Lines
) -> None:
    """Keys, readiness and audit report a missing database without it."""
    waiting = [("source", Entry(event="request.refused", principal="nobody"))]
    await Outbox(store.scripts).record(NOWHERE, waiting)
    url = Secret(f"postgresql://relay:{PASSWORD}@127.0.0.1:1/relay".encode())

    async def missed() -> bool:
        return {"keys.away", "audit.not_shipped"} <= {*lines.events}

    async with gateway(
        valkey.url, database_url=url, otlp_traces_endpoint=collector.endpoint
    ) as relay:
        unready = await relay.get("/ready")
        refused = await relay.get("/actions", headers={"Authorization": "Bearer x"})
        await until(missed)
        metrics = await relay.get("/metrics")
    assert (unready.status_code, refused.status_code) == (503, 503)
    with valkey.client() as client:
        redis = b"\n".join(contents(client))
    answers = {"answers": unready.content + refused.content, "metrics": metrics.content}
    slots = {**answers, "redis": redis, **telemetry_of(collector, lines)}
    assert leaks({"password": PASSWORD.encode()}, slots) == set()
