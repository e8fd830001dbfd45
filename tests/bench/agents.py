"""Agents that call, lose answers, call again and call twice; the receiver counts what came."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from relay_client import NoAnswer, Preview, Run
from stores.sql.migrate import migrate
from tests.bench.report import Fact
from tests.support.clients import KINDS, Client, opened
from tests.support.fleet import Site, gateways
from tests.support.forks import Forks, forking
from tests.support.gateways import LIMITS, PLENTY
from tests.support.lossy import Loss, Lossy, lossy
from tests.support.target import Target, listening, reset, status
from tests.support.valkey import Valkey

REPLICAS = 3
# Of requests; and of the answers of the target, which make a run unknown.
LOSSES: dict[Loss, float] = {"request": 0.04, "answer": 0.04, "half": 0.02}
TARGET_RESETS = 0.02


class Plan(NamedTuple):
    clients: int = 50
    calls: int = 10_000
    seed: int = 1


class Tally:
    """What the agents did. `statuses`: of the intents, by what their runs said."""

    def __init__(self) -> None:
        self.calls = self.duplicates = self.unanswered = self.replays = 0
        self.statuses: dict[int, str] = {}
        # Intents whose calls did not all get the same run.
        self.torn: set[int] = set()


class Agent:
    """Acts on one intent after another: previews, executes once or several times at once, and
    sometimes again later.
    """

    def __init__(self, client: Client, target: str, tally: Tally, random: Random) -> None:
        self._client, self._target = client, target
        self._tally, self._random = tally, random

    async def act(self, intent: int) -> None:
        preview = await self._preview(intent)
        key = self._random.choice((None, f"intent-{intent}"))
        times = self._random.choice((1, 1, 1, 2, 3))
        runs = list(await asyncio.gather(*(self._execute(preview, key) for _ in range(times))))
        if self._random.random() < 0.3:
            runs.append(await self._execute(preview, key))
        self._tally.duplicates += len(runs) - 1
        self._tally.replays += sum(run.replayed for run in runs)
        self._tally.statuses[intent] = runs[0].status
        if len({(run.run_id, run.status) for run in runs}) > 1:
            self._tally.torn.add(intent)

    async def _preview(self, intent: int) -> Preview:
        while True:
            self._tally.calls += 1
            try:
                body = {"intent": intent}
                return await self._client.preview("webhook.save", url=self._target, body=body)
            except NoAnswer:
                self._tally.unanswered += 1

    async def _execute(self, preview: Preview, key: str | None) -> Run:
        """Until it is answered, like a program that is started again."""
        while True:
            self._tally.calls += 1
            try:
                return await self._client.execute(preview, key=key)
            except NoAnswer:
                self._tally.unanswered += 1


class Outcome(NamedTuple):
    """`deliveries`: how often each intent came to the receiver."""

    tally: Tally
    deliveries: Counter[int]
    lost: Counter[Loss]

    @property
    def doubles(self) -> list[int]:
        return [intent for intent, times in self.deliveries.items() if times > 1]

    @property
    def missing(self) -> list[int]:
        """Intents whose run is a success, and that never came."""
        statuses = self.tally.statuses
        return [
            it for it, word in statuses.items() if word == "success" and it not in self.deliveries
        ]

    @property
    def whole(self) -> bool:
        return not (self.doubles or self.missing or self.tally.torn)


async def soaked(site: Site, forks: Forks, target: Target, plan: Plan) -> Outcome:
    """Calls through a lossy address to three gateways, until the plan is fulfilled."""
    random, tally = Random(plan.seed), Tally()
    _reset_some(target, random)
    at_once = dict.fromkeys(("RUNS_AT_ONCE", "RUNS_AT_ONCE_PER_TARGET"), "1000")
    env = site.env(**dict.fromkeys(LIMITS, str(PLENTY)), **at_once)
    intents = iter(range(1_000_000))
    async with _lossy_replicas(site, forks, env, random) as between, AsyncExitStack() as stack:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4 * plan.clients))

        async def acting(number: int) -> None:
            kind = KINDS[number % len(KINDS)]
            client = await stack.enter_async_context(opened(kind, between.url))
            agent = Agent(client, target.url, tally, Random(plan.seed + number))
            while tally.calls < plan.calls:
                await agent.act(next(intents))

        await asyncio.gather(*(acting(number) for number in range(plan.clients)))
    bodies = [json.loads(delivery.body) for delivery in target.deliveries]
    return Outcome(tally, Counter(int(body["intent"]) for body in bodies), between.lost)


@asynccontextmanager
async def _lossy_replicas(
    site: Site, forks: Forks, env: dict[str, str], random: Random
) -> AsyncIterator[Lossy]:
    async with (
        gateways(forks, *[env] * REPLICAS) as replicas,
        lossy([one.url for one in replicas], LOSSES, random) as between,
    ):
        yield between


def _reset_some(target: Target, random: Random) -> None:
    answers = status(200)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (reset if random.random() < TARGET_RESETS else answers)(reader, writer)

    target.answer = answer


def facts(outcome: Outcome) -> list[Fact]:
    tally, lost = outcome.tally, outcome.lost
    counted = {
        "calls": tally.calls,
        "calls that were repeated": tally.duplicates,
        "calls without an answer, made again": tally.unanswered,
        "requests, answers and halves lost": sum(lost.values()),
        "intents": len(tally.statuses),
        "runs unknown": sum(word == "unknown" for word in tally.statuses.values()),
        "replays": tally.replays,
        "deliveries": sum(outcome.deliveries.values()),
        "double deliveries": len(outcome.doubles),
        "successes without a delivery": len(outcome.missing),
        "intents with two runs": len(tally.torn),
    }
    return [Fact(f"agents: {name}", float(number), "") for name, number in counted.items()]


async def agents(plan: Plan) -> Outcome:
    """With a Valkey and a database of its own."""
    with TemporaryDirectory(prefix="relay-test-") as name, forking() as forks:
        folder = Path(name)
        server = Valkey(folder)
        server.start()
        try:
            await asyncio.to_thread(migrate, None, folder)
            site = Site(server, f"sqlite:///{folder}/relay.db", folder)
            async with listening() as target:
                return await soaked(site, forks, target, plan)
        finally:
            server.stop()
