"""While PostgreSQL is away, executions continue, their audit visibly waits, and none is lost."""

import json
from typing import Any

from gateway.access.api_keys import make
from tests.support.fleet import Site, hashed, outcomes
from tests.support.forks import Forks
from tests.support.gateways import until
from tests.support.target import Target
from tests.support.wire import Connection, connected, previewed

BEFORE, MEANWHILE, AFTER = (
    [f"{when}-{number}" for number in range(5)] for when in ("before", "meanwhile", "after")
)


class Caller:
    def __init__(self, connection: Connection, secret: str, target: Target) -> None:
        self._connection, self._target = connection, target
        self._bearer = f"Authorization: Bearer {secret}"

    async def run(self, keys: list[str]) -> None:
        for key in keys:
            preview_id = await previewed(self._connection, self._target.url, key, self._bearer)
            answer = await self._connection.execute(preview_id, key, 0, self._bearer)
            assert (answer.status, answer.body["status"]) == (200, "success")

    async def audit_check(self) -> dict[str, Any]:
        """The audit's check in /ready of a gateway that takes traffic."""
        answer = await self._connection.get("/ready")
        assert answer.status == 200
        [check] = [one for one in answer.body["checks"] if one["name"] == "audit"]
        return dict(check)

    async def measured(self, name: str) -> float:
        text = await self._connection.text("/metrics")
        [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])


async def test_executions_continue_and_are_audited_once_it_is_back(
    shared_site: Site, forks: Forks, target: Target
) -> None:
    """/ready and the metrics have the backlog. It is shipped in order and completely."""
    site, new_key = shared_site, await shared_site.key()
    async with site.database_line() as database:
        env = site.env(
            DATABASE_URL=site.through(database), TELEMETRY_ENABLED="true", TELEMETRY_BACKEND="prom"
        )
        async with forks.gateway(env) as gateway, connected(gateway.url) as connection:
            caller = Caller(connection, new_key.secret, target)
            await caller.run(BEFORE)
            database.cut()
            await caller.run(MEANWHILE)
            await until(lambda: backlog_is_reported(caller))
            written = await site.count()
            database.restore()
            await caller.run(AFTER)
            await until(lambda: shipped(site))
    assert written < 1 + 2 * len(BEFORE + MEANWHILE)
    keys = BEFORE + MEANWHILE + AFTER
    books = [entry for entry in await site.books() if entry.event.startswith("run.")]
    recorded = outcomes(books, [json.loads(delivery.body)["key"] for delivery in target.deliveries])
    assert recorded == {hashed(key): ("success", "") for key in keys}
    assert [entry.event for entry in books] == ["run.intended", "run.ended"] * len(keys)
    assert [entry.key_hash for entry in books[::2]] == [hashed(key) for key in keys]


async def test_a_gateway_that_starts_without_its_database_answers_503(
    shared_site: Site, forks: Forks
) -> None:
    """With Retry-After, for any key, until the keys were read once. Then a valid key is admitted
    and another is not, without a restart.
    """
    site, new_key = shared_site, await shared_site.key()
    valid = f"Authorization: Bearer {new_key.secret}"
    unknown = f"Authorization: Bearer {make(live=True).text}"
    async with site.database_line() as database:
        database.cut()
        env = site.env(DATABASE_URL=site.through(database))
        async with forks.gateway(env) as gateway, connected(gateway.url) as connection:
            for key in (valid, unknown):
                answer = await connection.get("/actions", key)
                assert (answer.status, answer.body["code"]) == (503, "store_unavailable")
                assert (answer.headers["retry-after"], answer.body["safe_to_retry"]) == ("1", True)
            readiness = await connection.get("/ready")
            assert (readiness.status, readiness.body["detail"]) == (503, "Failed: keys.")
            assert (await connection.get("/health")).status == 200

            database.restore()

            async def admitted() -> bool:
                return (await connection.get("/actions", valid)).status == 200

            await until(admitted)
            assert (await connection.get("/actions", unknown)).status == 401


async def backlog_is_reported(caller: Caller) -> bool:
    check = await caller.audit_check()
    waits = await caller.measured("relay_audit_outbox_entries")
    oldest = await caller.measured("relay_audit_outbox_oldest_seconds")
    warns = check["verdict"] == "warning" and "DatabaseUnavailable" in check["detail"]
    return warns and f"{waits:.0f} entries wait" in check["detail"] and waits >= 10 and oldest > 0


async def shipped(site: Site) -> bool:
    return site.waiting() == 0
