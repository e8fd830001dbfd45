"""`relay trace` as a test calls it, and gateways whose exported spans a Tempo has."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
from click.testing import CliRunner, Result

from gateway.cli.main import relay
from tests.support.collector import Collector, collecting
from tests.support.gateways import Relay, gateway
from tests.support.target import Target
from tests.support.tempo import StandIn, storing
from tests.support.valkey import Valkey

GRAFANA = "https://grafana.example"
NOBODY = "http://127.0.0.1:1"
LINE = re.compile(r"([ │├└─]*)(\S.*?)  \+([0-9.]+) ms  ([0-9.]+) ms(.*)")


async def run(*arguments: str, **env: str) -> Result:
    """In a thread, for the gateway and the rest answer in this one."""
    unset = {"TEMPO_URL": "", "GRAFANA_URL": "", "TRACE_LINK_TEMPLATE": "", "RELAY_URL": NOBODY}
    return await asyncio.to_thread(
        CliRunner().invoke,
        relay,
        ["trace", *arguments],
        env={**unset, **env},
        catch_exceptions=False,
    )


class Row(NamedTuple):
    """A line of the tree; `depth` 0 for a root."""

    depth: int
    name: str
    offset: float
    took: float
    rest: str


def rows(result: Result) -> list[Row]:
    found = (LINE.fullmatch(line) for line in result.stdout.splitlines())
    return [
        Row(len(guide) // 4 - 1, name, float(offset), float(took), rest)
        for guide, name, offset, took, rest in (match.groups() for match in found if match)
    ]


class Traced(NamedTuple):
    """A gateway that exports to a collector, whose spans a Tempo has."""

    relay: Relay
    collector: Collector
    tempo: StandIn

    async def executed(self, target: Target, key: str = "key-1") -> httpx2.Response:
        """An execution whose five spans have arrived."""
        preview_id = await self.relay.preview_id(target.url)
        response = await self.relay.execute(preview_id, key)
        assert response.status_code == 200, response.text
        await self.collector.of_request(response.json()["request_id"], count=5)
        return response

    async def replayed(self, key: str = "key-1") -> httpx2.Response:
        response = await self.relay.execute("gone", key)
        assert response.headers["idempotent-replayed"] == "true"
        await self.collector.of_request(response.json()["request_id"], count=2)
        return response

    @property
    def url(self) -> str:
        return str(self.relay.base_url)


@asynccontextmanager
async def tracing(valkey: Valkey, **settings: Any) -> AsyncIterator[Traced]:
    async with collecting() as collector, storing(lambda: collector.raw) as tempo:
        settings = {"otlp_traces_endpoint": collector.endpoint, **settings}
        async with gateway(valkey.url, **settings) as relay:
            yield Traced(relay, collector, tempo)


def names(found: list[Row]) -> list[tuple[int, str]]:
    return [(row.depth, row.name) for row in found]
