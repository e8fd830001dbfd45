"""Whether a gateway may take traffic: what it looks at, how often, and what it logs."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.api.readiness import FRESH_SECONDS, Readiness
from gateway.config.secret import Secret
from stores.redis.client import Store
from tests.support.gateways import gateway, until
from tests.support.keyed import keyed_gateway
from tests.support.valkey import Valkey


@pytest.fixture
async def policy(valkey: Valkey, store: Store) -> AsyncIterator["Policy"]:
    policy = Policy(store)
    yield policy
    await policy.be("noeviction")


class Policy:
    """The server's eviction policy, which correctness rests on."""

    def __init__(self, store: Store) -> None:
        self._client = store.client

    async def be(self, name: str) -> None:
        await self._client.config_set("maxmemory-policy", name)


async def looks(store: Store) -> int:
    """How often the server was asked about itself (this call counts, too)."""
    return int((await store.client.info("commandstats"))["cmdstat_info"]["calls"])


async def verdict(readiness: Readiness, name: str) -> str:
    return {check.name: check.verdict for check in await readiness.checks()}[name]


def age(readiness: Readiness, seconds: float) -> None:
    """Make the last look that old."""
    readiness._checked_at = time.monotonic() - seconds


@pytest.mark.parametrize(("strict", "wrong"), [(False, "warning"), (True, "failed")])
async def test_production_refuses_what_development_warns_of(
    store: Store, policy: Policy, strict: bool, wrong: str
) -> None:
    """A store that may forget records is no ground for a promise."""
    readiness = Readiness(store, strict=strict)
    assert await verdict(readiness, "eviction") == "ok"
    await policy.be("allkeys-lru")
    age(readiness, 2)

    assert await verdict(readiness, "eviction") == wrong
    assert await verdict(readiness, "store") == "ok"


@pytest.mark.parametrize(
    ("env", "status", "code"), [("development", 200, None), ("production", 503, "not_ready")]
)
async def test_ready_says_so_to_load_balancers(
    valkey: Valkey, policy: Policy, tmp_path: Path, env: str, status: int, code: str | None
) -> None:
    """200 with a warning in development, 503 that names the failed check in production."""
    await policy.be("volatile-ttl")
    async with keyed_gateway(valkey.url, tmp_path, env=env) as keyed:
        answer = await keyed.relay.get("/ready")

    body = answer.json()
    assert (answer.status_code, body.get("code")) == (status, code)
    assert body.get("detail") == ("Failed: eviction." if code else None)
    [check] = [check for check in body["checks"] if check["name"] == "eviction"]
    assert check["verdict"] == ("failed" if code else "warning")
    assert "volatile-ttl" in check["detail"]


@pytest.mark.parametrize(("age_of_look", "seen"), [(0.8, "ok"), (1.1, "warning")])
async def test_a_look_is_good_for_a_second(
    store: Store, policy: Policy, age_of_look: float, seen: str
) -> None:
    """Then the server is asked again."""
    assert FRESH_SECONDS == 1.0
    readiness = Readiness(store, strict=False)
    await readiness.checks()
    await policy.be("allkeys-lru")
    age(readiness, age_of_look)

    assert await verdict(readiness, "eviction") == seen


async def test_probes_at_once_share_a_look(store: Store) -> None:
    """Fifty load balancers cost what one does."""
    readiness = Readiness(store, strict=False)
    before = await looks(store)
    answers = await asyncio.gather(*(readiness.checks() for _ in range(50)))

    assert await looks(store) == before + 2
    assert all(answer == answers[0] for answer in answers)


async def test_a_stopping_gateway_is_not_ready(store: Store) -> None:
    """At once, also when the last look is fresh."""
    readiness = Readiness(store, strict=False)
    assert await verdict(readiness, "process") == "ok"
    readiness.stopping = True

    assert await verdict(readiness, "process") == "failed"


async def test_a_verdict_that_changes_is_logged(
    store: Store, policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each way; that all is well from the start is no news."""
    caplog.set_level(logging.INFO, "relay.readiness")
    readiness = Readiness(store, strict=False)
    for name in ("noeviction", "allkeys-lru", "allkeys-lru", "noeviction", "noeviction"):
        await policy.be(name)
        age(readiness, 2)
        await readiness.checks()

    told = [(record.levelname, vars(record)["fields"]["detail"]) for record in caplog.records]
    assert told == [
        (
            "WARNING",
            "maxmemory-policy is allkeys-lru, not noeviction",
        ),
        ("INFO", "as required"),
    ]


async def test_what_is_wrong_from_the_start_is_logged(
    store: Store, policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a request: the gateway watches by itself."""
    await policy.be("allkeys-lru")
    watching = asyncio.create_task(Readiness(store, strict=True).watch())

    async def told() -> bool:
        return bool(caplog.records)

    await until(told)
    watching.cancel()
    await asyncio.wait({watching})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    [said] = [
        (vars(record)["fields"]["check"], vars(record)["fields"]["verdict"])
        for record in caplog.records
    ]
    assert said == ("eviction", "failed")


async def test_readiness_hides_what_the_database_says(valkey: Valkey) -> None:
    """One that never answered: no request is admitted, and /ready names no host, port or error."""
    url = Secret(b"postgresql://relay:hunter2@127.0.0.1:1/accounts")
    async with gateway(valkey.url, database_url=url) as relay:
        ready, asked = await relay.get("/ready"), await relay.get("/actions")

    assert (ready.status_code, asked.status_code) == (503, 503)
    checks = {check["name"]: check for check in ready.json()["checks"]}
    assert checks["keys"]["verdict"] == "failed"
    assert checks["keys"]["detail"] == "the database does not answer"
    assert all(word not in ready.text for word in ("127.0.0.1", "hunter2", "accounts", "Error"))
