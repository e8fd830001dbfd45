"""Request as many executions as possible, with several keys at several gateways, and time them."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

import click

from stores.redis import names
from stores.sql import workspaces
from stores.sql.migrate import migrate
from tests.support.fleet import WORKSPACE, Site, gateways
from tests.support.forks import Forks, forking
from tests.support.target import Target, listening
from tests.support.valkey import Valkey
from tests.support.wire import Answer, Connection, connected, previewed


class Plan(NamedTuple):
    """Limits a minute of a key and of the workspace. `lines`: connections of a key to each
    gateway.
    """

    of_key: int
    of_workspace: int
    lines: int
    times: int


class Storm:
    """`granted`: for each API key, when its runs opened, in ms on the server's clock."""

    def __init__(self, urls: Sequence[str], secrets: Mapping[str, str], plan: Plan) -> None:
        self.urls, self.secrets, self._plan = urls, secrets, plan
        self.previews: Iterator[str] = iter(())
        self.granted: dict[str, list[int]] = {name: [] for name in secrets}
        self.done: list[str] = []
        self.refused: list[Answer] = []

    async def ask(self, names: str) -> None:
        """Execute with these keys at all gateways at once, on each connection as often as
        planned.
        """
        lines = product(self.urls, names, range(self._plan.lines))
        await asyncio.gather(*(self._one(url, name) for url, name, _ in lines))

    async def _one(self, url: str, name: str) -> None:
        preview_id = next(self.previews)
        async with connected(url) as connection:
            for _ in range(self._plan.times):
                answer = await self.execute(connection, preview_id, name)
                # A refused preview is not spent: use it again.
                preview_id = next(self.previews) if answer.status == 200 else preview_id

    async def execute(self, connection: Connection, preview_id: str, name: str) -> Answer:
        bearer = f"Authorization: Bearer {self.secrets[name]}"
        answer = await connection.execute(preview_id, preview_id, 0, bearer)
        if answer.status == 200:
            self.granted[name].append(moment(answer.body["started_at"]))
            self.done.append(preview_id)
        else:
            self.refused.append(answer)
        return answer

    @property
    def all(self) -> list[int]:
        return [at for granted in self.granted.values() for at in granted]


@asynccontextmanager
async def stormy(site: Site, forks: Forks, target: Target, plan: Plan) -> AsyncIterator[Storm]:
    """Four gateways, the keys A, B and C, and previews for every execution that may be granted."""
    secrets = {name: (await site.key(name)).secret for name in "ABC"}
    async with site.database() as database, database.begin() as writing:
        limits = workspaces.Limits(None, plan.of_workspace, None, None)
        assert await workspaces.change(writing, WORKSPACE, limits)
    plenty = dict.fromkeys(("RUNS_AT_ONCE", "RUNS_AT_ONCE_PER_TARGET"), "1000")
    env = site.env(RATE_LIMIT_EXECUTE=str(plan.of_key), **plenty)
    async with gateways(forks, env, env, env, env) as four:
        storm = Storm([one.url for one in four], secrets, plan)
        bearer = f"Authorization: Bearer {secrets['A']}"
        async with connected(four[0].url) as connection:
            first = await previewed(connection, target.url, "order", bearer)
        storm.previews = iter(copies(site.valkey, first, 3 * plan.of_workspace + 1000))
        yield storm


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def copies(valkey: Valkey, preview_id: str, count: int) -> list[str]:
    """Copies of this preview; requesting them would take longer than the test itself."""
    made = [str(uuid4()) for _ in range(count)]
    with valkey.client() as redis:
        pipeline = redis.pipeline(transaction=False)
        for name in made:
            pipeline.copy(names.preview(WORKSPACE, preview_id), names.preview(WORKSPACE, name))
        pipeline.execute()
    return made


def burst(granted: Sequence[int], per_minute: int) -> float:
    """How far any window, however long, exceeds what the rate grants in its time. Tolerates the
    milliseconds that the times are cut to.
    """
    rate = per_minute / 60_000
    limit, before = 0.0, -math.inf
    for number, at in enumerate(sorted(granted)):
        before = max(before, rate * at - number)
        limit = max(limit, number + 1 - rate * (at + 1) + before)
    return limit


def fullest(granted: Sequence[int], window_ms: int) -> int:
    """The number of grants in the fullest window of this length."""
    times, first, limit = sorted(granted), 0, 0
    for last, at in enumerate(times):
        while times[first] < at - window_ms:
            first += 1
        limit = max(limit, last - first + 1)
    return limit


# Four gateways on two cores execute some 500 a second: the limits bind from the third second on.
FIFTY_THOUSAND = Plan(of_key=4000, of_workspace=6000, lines=8, times=391)


async def main(site: Site) -> None:
    """Send 50,000 requests and print the fullest windows."""
    plan = FIFTY_THOUSAND
    with forking() as forks:
        async with listening() as target, stormy(site, forks, target, plan) as storm:
            began = time.monotonic()
            await storm.ask("A")
            await storm.ask("ABC")
            seconds = time.monotonic() - began
    limits = [(name, storm.granted[name], plan.of_key) for name in storm.granted]
    click.echo(f"{len(storm.all) + len(storm.refused)} requests in {seconds:.1f} s")
    click.echo(
        f"{len(storm.all)} granted, {len(storm.refused)} refused, {len(target.deliveries)} sent"
    )
    for name, granted, limit in [*limits, ("all", storm.all, plan.of_workspace)]:
        click.echo(
            f"{name}: {limit} a minute; {fullest(granted, 1000)} in the fullest second,"
            f" {fullest(granted, 60_000)} in the fullest minute;"
            f" {burst(granted, limit):.1f} more than the rate in the fullest window of any length"
        )


if __name__ == "__main__":
    with TemporaryDirectory(prefix="relay-test-") as opened:
        folder = Path(opened)
        server = Valkey(folder)
        server.start()
        migrate(None, folder)
        try:
            asyncio.run(main(Site(server, f"sqlite:///{folder}/relay.db", folder)))
        finally:
            server.stop()
