"""The breaker is needed: without it, or without one of its parts, what it prevents happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.egress.breaker import FAILURES, PAUSE, Breaker
from gateway.outcomes import Outcome
from stores.redis.previews import NewPreview, Previews
from stores.redis.reservations import KeyTaken, Reserved, Suspended
from stores.redis.runs import Runs
from tests.support.clocks import Clock
from tests.support.edited import Edited, without
from tests.support.gateways import until
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.reservations import LEASE, ORIGIN, reservation
from tests.support.tcp import tcp_server
from tests.support.valkey import Valkey

EXECUTES = 20
TARGET = "a.example:443"


class Absent(Breaker):
    """None at all."""

    def suspended(self, workspace: str) -> list[str]:
        return []

    def admit(self, workspace: str, target: str) -> bool:
        return True


class Unlimited(Breaker):
    """After the pause each caller is a probe."""

    def admit(self, workspace: str, target: str) -> bool:
        return self.pause(workspace, target) == 0


class Shared(Breaker):
    """One circuit a target, for all workspaces."""

    def suspended(self, workspace: str) -> list[str]:
        return super().suspended("")

    def admit(self, workspace: str, target: str) -> bool:
        return super().admit("", target)

    def record(self, workspace: str, target: str, outcome: Outcome) -> None:
        super().record("", target, outcome)


class Deaf:
    """A target that takes connections and ends them before TLS: each attempt is counted.
    `ending`: they end while it is set.
    """

    def __init__(self) -> None:
        self.attempts, self.url = 0, ""
        self.ending = asyncio.Event()
        self.ending.set()

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        await self.ending.wait()
        writer.close()


@asynccontextmanager
async def attempted(
    valkey: Valkey, folder: Path, breaker: Breaker
) -> AsyncIterator[tuple[Keyed, Deaf]]:
    """A gateway with this breaker."""
    deaf = Deaf()
    async with tcp_server(deaf.serve) as port, keyed_gateway(valkey.url, folder) as keyed:
        deaf.url = f"https://127.0.0.1:{port}/hook"
        keyed.state["engine"]._egress.breaker = breaker
        yield keyed, deaf


async def executed(keyed: Keyed, url: str, key: str | None = None) -> str:
    relay = keyed.client(key) if key else keyed.relay
    return str((await relay.execute(await relay.preview_id(url))).json()["code"])


@pytest.mark.parametrize(("breaker", "attempts"), [(Breaker, FAILURES), (Absent, EXECUTES)])
async def test_callers_that_go_on_cause_no_flood(
    valkey: Valkey, tmp_path: Path, breaker: type[Breaker], attempts: int
) -> None:
    """Twenty executes are five attempts; without the breaker each is one."""
    async with attempted(valkey, tmp_path, breaker()) as (keyed, deaf):
        codes = Counter([await executed(keyed, deaf.url) for _ in range(EXECUTES)])
    assert deaf.attempts == attempts
    assert codes["target_suspended"] == EXECUTES - attempts


@pytest.mark.parametrize(("breaker", "attempts"), [(Breaker, 1), (Unlimited, EXECUTES)])
async def test_one_probe_goes_out_for_a_crowd(
    valkey: Valkey, tmp_path: Path, breaker: type[Breaker], attempts: int
) -> None:
    """When the pause is over: otherwise everything that has waited goes out at once."""
    clock = Clock()
    async with attempted(valkey, tmp_path, breaker(clock=clock)) as (keyed, deaf):
        for _ in range(FAILURES):
            await executed(keyed, deaf.url)
        clock.now += PAUSE
        deaf.ending.clear()
        deaf.attempts = 0
        previews = [await keyed.relay.preview_id(deaf.url) for _ in range(EXECUTES)]
        tasks = [asyncio.create_task(keyed.relay.execute(it)) for it in previews]

        async def all_over_or_out() -> bool:
            return deaf.attempts + sum(task.done() for task in tasks) == EXECUTES

        await until(all_over_or_out)
        deaf.ending.set()
        await asyncio.gather(*tasks)
    assert deaf.attempts == attempts


@pytest.mark.parametrize(
    ("breaker", "code"), [(Breaker, "target_unreachable"), (Shared, "target_suspended")]
)
async def test_a_tenant_closes_no_host_to_others(
    valkey: Valkey, tmp_path: Path, breaker: type[Breaker], code: str
) -> None:
    async with attempted(valkey, tmp_path, breaker()) as (keyed, deaf):
        await keyed.workspace("other")
        other = await keyed.key("operator", workspace="other")
        for _ in range(FAILURES):
            await executed(keyed, deaf.url)
        assert await executed(keyed, deaf.url) == "target_suspended"
        assert await executed(keyed, deaf.url, other) == code


SUSPENDED = "if listed(suspended, target) then return {'suspended', quota, target} end\n"
ANSWERED = "if answer then return as_primary(in_flight, run_prefix, preview_id, answer) end\n"


@pytest.mark.parametrize("first", ["the replay", "the breaker", "no breaker"])
async def test_the_script_asks_for_the_replay_first(valkey: Valkey, first: str) -> None:
    """In the other order a retry whose run has ended gets 503 instead of its answer; without the
    line a suspended target is reserved.
    """
    unasked = without("reserve", SUSPENDED)
    assert ANSWERED in unasked
    moved = unasked.replace(ANSWERED, SUSPENDED + ANSWERED)
    sources = {"the breaker": moved, "no breaker": unasked}
    edited = {"reserve": sources[first]} if first in sources else {}
    async with valkey.async_client() as client:
        scripts = Edited(client, **edited)
        previews, runs = Previews(scripts), Runs(scripts)
        for preview_id in ("p-1", "p-2"):
            await previews.save("w", NewPreview(preview_id, b"{}", ORIGIN, target=TARGET))
        assert isinstance(await runs.reserve(reservation(), lease=LEASE), Reserved)
        again = reservation("run-2")._replace(suspended=[TARGET])
        answer = await runs.reserve(again, lease=LEASE)
        assert isinstance(answer, Suspended if first == "the breaker" else KeyTaken)
        other = again._replace(key="order-2", preview_id="p-2")
        answer = await runs.reserve(other, lease=LEASE)
        assert isinstance(answer, Reserved if first == "no breaker" else Suspended)
