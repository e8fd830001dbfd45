"""Three gateways over one store behind HAProxy, found by DNS as in docker-compose.yml."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.gateways import Relay, client, until
from tests.support.stack.files import installed
from tests.support.stack.replicas import PORT, Network, Proxy, Replica, network, proxy, replicas
from tests.support.valkey import Valkey


class Stack(NamedTuple):
    net: Network
    haproxy: Proxy
    replicas: list[Replica]
    relay: Relay
    stats: Relay

    def served_by(self, request_id: str) -> str | None:
        """The address of the replica that sent this response."""
        line = self.haproxy.line(request_id)
        return line["address"].split(":")[0] if line else None

    async def who_served(self, request_id: str) -> str:
        async def logged() -> bool:
            return self.served_by(request_id) is not None

        await until(logged)
        served = self.served_by(request_id)
        assert served
        return served

    async def sender(self) -> Replica:
        """The replica that has a run in flight."""
        (sending,) = [it for it in self.replicas if await runs_in_flight(it)]
        return sending

    async def servers(self) -> int:
        """How many replicas HAProxy uses."""
        lines = (await self.stats.get("/metrics")).text.splitlines()
        wanted = 'haproxy_backend_active_servers{proxy="gateway"} '
        return int(next(line for line in lines if line.startswith(wanted)).split()[1])


async def runs_in_flight(replica: Replica) -> float:
    """The gauge of this replica."""
    async with client(f"http://{replica.address}:{PORT}") as relay:
        lines = (await relay.get("/metrics")).text.splitlines()
    return float(
        next(line for line in lines if line.startswith("relay_runs_in_flight ")).split()[1]
    )


@contextmanager
def started(url: str, folder: Path) -> Iterator[tuple[Network, Proxy, list[Replica]]]:
    installed("haproxy")
    with network() as net, replicas(net, url) as three, proxy(net, folder) as haproxy:
        yield net, haproxy, three


@pytest.fixture
async def stack(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Stack]:
    with started(valkey.url, tmp_path) as (net, haproxy, three):
        async with client(haproxy.url) as relay, client(haproxy.stats) as stats:
            opened = Stack(net, haproxy, three, relay, stats)

            async def found() -> bool:
                return await opened.servers() == len(three)

            await until(found)
            yield opened
