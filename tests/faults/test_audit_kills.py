"""Whichever process is killed, the audit has each intent and one outcome of each, in order."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.support.fleet import Site, hashed, outcomes
from tests.support.forks import Forks
from tests.support.line import Instant, Step, script
from tests.support.target import Target, hang
from tests.support.wire import Connection, connected, previewed

# The shipper removes what it has shipped by the ids in the stream.
REMOVAL = script("collect", with_=r"\{default\}.*\d{13}-\d+")
# Readers ask for REPEATABLE READ.
BEGIN = re.compile(rb"BEGIN ISOLATION LEVEL READ COMMITTED;")
INSERT, COMMIT = re.compile(rb"INSERT INTO audit "), re.compile(rb"COMMIT;")
RESERVE, SETTLE, RELEASE = script("reserve"), script("settle"), script("release")


class Doomed:
    """A gateway that will be killed, and an API key for it."""

    def __init__(self, connection: Connection, kill: Callable[[], None], bearer: str) -> None:
        self.connection, self.kill, self._bearer = connection, kill, bearer

    async def preview(self, url: str, key: str) -> str:
        return await previewed(self.connection, url, key, self._bearer)

    async def run(self, preview_id: str, key: str) -> dict[str, Any]:
        answer = await self.connection.execute(preview_id, key, 0, self._bearer)
        return answer.body

    async def killed_in(self, preview_id: str, key: str) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.run(preview_id, key)
            pytest.fail("a gateway that was to be killed has answered")


@asynccontextmanager
async def doomed(site: Site, forks: Forks, **env: str) -> AsyncIterator[Doomed]:
    new_key = await site.key()
    async with (
        forks.gateway(site.env(**env)) as fork,
        connected(fork.url) as connection,
    ):
        yield Doomed(connection, fork.kill, f"Authorization: Bearer {new_key.secret}")


def keys_of(target: Target) -> list[str]:
    return [json.loads(delivery.body)["key"] for delivery in target.deliveries]


@pytest.mark.parametrize(
    ("step", "came"),
    [
        (Step(RESERVE, "before"), None),
        (Step(RESERVE, "after"), ("unknown", "interrupted")),
        (Step(SETTLE, "before"), ("unknown", "interrupted")),
        (Step(SETTLE, "after"), ("success", "")),
    ],
    ids=["before reserve", "reserved", "before settle", "settled"],
)
async def test_a_run_whose_gateway_is_killed_has_one_outcome(
    site: Site, forks: Forks, target: Target, step: Step, came: tuple[str, str] | None
) -> None:
    """A run that was reserved and not settled is unknown. A run that was never reserved has no
    entry.
    """
    async with site.redis_line() as redis, doomed(site, forks, REDIS_URL=redis.url) as gateway:
        done = await gateway.run(await gateway.preview(target.url, "order-1"), "order-1")
        assert done["status"] == "success"
        preview_id = await gateway.preview(target.url, "order-2")
        redis.at(step, gateway.kill)
        await gateway.killed_in(preview_id, "order-2")
    site.end_leases()
    await site.ship()
    recorded = outcomes(await site.books(), keys_of(target))
    assert recorded.pop(hashed("order-1")) == ("success", "")
    assert recorded == ({hashed("order-2"): came} if came else {})
    assert ("order-2" in keys_of(target)) == (step.sign is SETTLE)


async def test_a_run_in_flight_at_a_kill_is_unknown(
    site: Site, forks: Forks, target: Target
) -> None:
    target.answer = hang
    async with doomed(site, forks) as gateway:
        preview_id = await gateway.preview(target.url, "order-1")
        running = asyncio.create_task(gateway.killed_in(preview_id, "order-1"))
        await target.arrived.wait()
        await site.ship()  # not yet: it may still be settled
        assert [entry.event for entry in await site.books()][-1] == "run.intended"
        gateway.kill()
        await running
    assert site.end_leases() == 1
    await site.ship()
    recorded = outcomes(await site.books(), keys_of(target))
    assert recorded == {hashed("order-1"): ("unknown", "interrupted")}
    assert keys_of(target) == ["order-1"]


@pytest.mark.parametrize(
    ("moment", "came"),
    [("before", ("unknown", "interrupted")), ("after", ("not_sent", "target_unreachable"))],
)
async def test_a_run_killed_during_its_release_has_one_outcome(
    site: Site, forks: Forks, moment: Instant, came: tuple[str, str]
) -> None:
    """Nothing was sent. If the gateway died before the release arrived, the outcome is unknown."""
    async with site.redis_line() as redis, doomed(site, forks, REDIS_URL=redis.url) as gateway:
        with socket.socket() as refusing:
            refusing.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{refusing.getsockname()[1]}/hook"
            preview_id = await gateway.preview(url, "order-1")
            redis.at(Step(RELEASE, moment), gateway.kill)
            await gateway.killed_in(preview_id, "order-1")
    site.end_leases()
    await site.ship()
    assert outcomes(await site.books(), []) == {hashed("order-1"): came}


@pytest.mark.parametrize(
    ("step", "written", "waiting"),
    [
        (Step(BEGIN, "before"), 0, 6),
        (Step(INSERT, "before"), 0, 6),
        (Step(COMMIT, "before"), 0, 6),
        (Step(COMMIT, "after"), 6, 6),
        (Step(REMOVAL, "before"), 6, 6),
        (Step(REMOVAL, "after"), 6, 0),
    ],
    ids=["collected", "in it", "before commit", "committed", "before removal", "removed"],
)
async def test_a_killed_shipper_loses_and_repeats_no_entry(
    shared_site: Site, forks: Forks, target: Target, step: Step, written: int, waiting: int
) -> None:
    """Another one ships the entries that it had collected, whether written or not yet removed."""
    site = shared_site
    async with site.redis_line() as redis, site.database_line() as database:
        env = {"REDIS_URL": redis.url, "DATABASE_URL": site.through(database)}
        async with doomed(site, forks, **env) as gateway:
            async with site.held_head():
                for key in ("order-1", "order-2", "order-3"):
                    await gateway.run(await gateway.preview(target.url, key), key)
                between = redis if step.sign is REMOVAL else database
                between.at(step, gateway.kill)
            async with asyncio.timeout(10):
                await between.reached.wait()
    assert await site.count() == 1 + written  # the key's
    assert site.waiting() == waiting
    await site.ship()
    recorded = outcomes(await site.books(), keys_of(target))
    assert recorded == {hashed(f"order-{n}"): ("success", "") for n in (1, 2, 3)}
    assert site.waiting() == 0
