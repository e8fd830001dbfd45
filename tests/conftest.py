"""Real parts for every test: a Valkey, targets on sockets, gateways under uvicorn."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis

from stores.connection import Store, open_store
from stores.previews import Previews
from stores.runs import Runs
from stores.scripts import Scripts
from tests.claims import ORIGIN
from tests.gateways import Relay, gateway
from tests.target import Target, listening
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    # Not tmp_path: a unix socket's path must be short.
    with TemporaryDirectory(prefix="relay-test-") as folder:
        server = Valkey(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator[Valkey]:
    """An empty server. After the test every key that it left must have an expiry, but for the
    outboxes of the audit.
    """
    with valkey_server.client() as client:
        client.flushall()
        yield valkey_server
        forever = [
            key
            for key in client.scan_iter()
            if client.pttl(key) == -1 and not key.endswith(b":outbox")
        ]
    assert not forever, "keys without an expiry"


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that a test may stop, pause or fill."""
    with TemporaryDirectory(prefix="relay-test-") as folder:
        server = Valkey(Path(folder))
        server.start()
        yield server
        server.resume()
        server.stop()


@pytest.fixture
async def store(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(valkey.url, tmp_path) as opened:
        yield opened


class FakeRedis(FakeAsyncRedis):
    """fakeredis does not know the first line by which a script may write when memory is full."""

    async def script_load(self, script: Any) -> Any:
        return await super().script_load(script.removeprefix("#!lua flags=allow-oom\n"))


@pytest.fixture(params=["valkey", "fakeredis"])
async def scripts(request: pytest.FixtureRequest) -> AsyncIterator[Scripts]:
    """The store contracts hold on both."""
    if request.param == "fakeredis":
        client: Redis = FakeRedis()
    else:
        client = Redis(unix_socket_path=str(request.getfixturevalue("valkey").socket))
    yield Scripts(client)
    await client.aclose()


@pytest.fixture
async def previews(scripts: Scripts) -> Previews:
    """Two live previews: p-1 and p-2."""
    previews = Previews(scripts)
    for name in ("p-1", "p-2"):
        await previews.save("w", name, name.encode(), origin=ORIGIN)
    return previews


@pytest.fixture
def runs(scripts: Scripts, previews: Previews) -> Runs:
    return Runs(scripts)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with listening() as opened:
        yield opened


@pytest.fixture
async def relay(valkey: Valkey) -> AsyncIterator[Relay]:
    """The client of a gateway with default settings that may reach loopback."""
    async with gateway(valkey.url) as client:
        yield client


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, left
