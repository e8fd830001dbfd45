"""Engines without HTTP, of the parts that `gateway/app.py` puts together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from msgspec import Raw

from gateway.access.principal import Principal
from gateway.actions.registry import registered
from gateway.effects import Effect
from gateway.egress.breaker import Breaker
from gateway.egress.client import NONE, Egress, open_egress
from gateway.egress.guard import Guard
from gateway.execution.engine import Engine
from gateway.execution.runner import LEASE_MARGIN, Runner
from gateway.outcomes import Answered, Outcome, TargetRefused
from stores.redis.client import Store
from stores.redis.previews import Previews
from stores.redis.reservations import Lost, NoRun, Released, Reservation, Run, Settled
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable
from tests.support.approvals import unasked
from tests.support.credentials import credentials
from tests.support.gateways import LOOPBACK, unsigned

ASKING = Principal(workspace="w")
SUCCESS = Answered(status_code=200, response="OK", truncated=False)
NO_WAIT = timedelta(0)


class Scripted(Egress):
    """Sends nothing: each send takes the next outcome, once `gate` is open."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.breaker = Breaker()
        self._outcomes = list(outcomes)
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.sent: list[Effect] = []
        self.deadlines: list[float] = []

    async def inspect(self, effect: Effect, workspace: str) -> TargetRefused | tuple[str, ...]:
        return ()

    def known(self, effect: Effect) -> bool:
        return False

    def added_when_sent(self, effect: Effect, workspace: str) -> tuple[str, ...]:
        return ("Host",)

    def signs(self, workspace: str) -> bool:
        return False

    async def send(
        self,
        effect: Effect,
        *,
        workspace: str,
        run_id: str,
        deadline: float,
        credential: Mapping[str, str] = NONE,
    ) -> Outcome:
        self.sent.append(effect)
        self.deadlines.append(deadline)
        self.begun.set()
        await self.gate.wait()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def scripted(*outcomes: Outcome | Exception) -> Scripted:
    """With an open gate."""
    egress = Scripted(*outcomes)
    egress.gate.set()
    return egress


class FlakyRuns(Runs):
    """Does what is asked, then loses the reply, as often as `lost` says of the verb."""

    def __init__(self, store: Store, **lost: int) -> None:
        super().__init__(store.scripts)
        self._lost = lost
        self.calls = {"reserve": 0, "settle": 0, "release": 0, "inspect": 0}

    def _lose(self, verb: str) -> None:
        self.calls[verb] += 1
        if self.calls[verb] <= self._lost.get(verb, 0):
            raise RedisUnavailable(verb)

    async def reserve(self, reservation: Reservation, *, lease: timedelta) -> Any:
        answer = await super().reserve(reservation, lease=lease)
        self._lose("reserve")
        return answer

    async def settle(
        self, reservation: Reservation, *, state: str, doc: bytes, ending: bytes = b"{}"
    ) -> Settled | Lost:
        self._lose("settle")
        return await super().settle(reservation, state=state, doc=doc, ending=ending)

    async def release(self, reservation: Reservation, *, ending: bytes = b"{}") -> Released | Lost:
        self._lose("release")
        return await super().release(reservation, ending=ending)

    async def inspect(self, workspace: str, run_id: str) -> Run | NoRun:
        self._lose("inspect")
        return await super().inspect(workspace, run_id)


def params(url: str) -> Raw:
    return Raw(f'{{"url": "{url}", "body": {{"test": "hello"}}}}'.encode())


def runner(store: Store, egress: Egress) -> Runner:
    return Runner(
        runs=Runs(store.scripts),
        egress=egress,
        credentials=credentials(),
        action_timeout=timedelta(seconds=15),
        approvals=unasked(store.scripts),
    )


def engine(store: Store, egress: Egress, executing: Runner | None = None) -> Engine:
    return Engine(
        actions=registered(webhook_url=None, providers={}),
        egress=egress,
        previews=Previews(store.scripts),
        runs=Runs(store.scripts),
        run_endings=store.run_endings,
        runner=executing or runner(store, egress),
    )


@asynccontextmanager
async def sending_engine(store: Store) -> AsyncIterator[Engine]:
    """An engine that really sends, to loopback."""
    async with open_egress(Guard(networks=LOOPBACK), unsigned) as egress:
        executing = runner(store, egress)
        yield engine(store, egress, executing)
        await executing.drain(LEASE_MARGIN)
