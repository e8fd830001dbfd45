"""Serving: where it listens, what stops a start, and what it does with signals."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET6, create_server, has_ipv6

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.cli.receiver import Delivery, receiver
from gateway.cli.serve import GatewayServer
from gateway.config.settings import Settings
from gateway.http.server import ListeningServer, StartError, running
from tests.bench.processes import free_port
from tests.http.test_raw_requests import answers_to
from tests.support.embedded import data_dir
from tests.support.gateways import client, until
from tests.support.valkey import Valkey


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_dir() as opened:
        yield opened


def ipv6() -> bool:
    try:
        create_server(("::1", 0), family=AF_INET6).close()
    except OSError:
        return False
    return has_ipv6


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("::1", marks=pytest.mark.skipif(not ipv6(), reason="no IPv6 here")),
    ],
)
async def test_the_url_says_where_it_listens(host: str) -> None:
    """With the port that was free, and brackets about an IPv6 address."""
    deliveries: list[Delivery] = []
    server = ListeningServer(receiver(deliveries.append, secret=None), host=host, port=0)
    async with running(server) as url, httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/there")).status_code == 200

    assert [delivery.path for delivery in deliveries] == ["/there"]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url, trust_env=False)


def test_a_port_is_taken_from_the_start_on() -> None:
    """The loser of the race gets the error before anything is opened."""
    first = ListeningServer(Starlette(), host="127.0.0.1", port=0)
    with pytest.raises(StartError, match=r"cannot listen on 127\.0\.0\.1:[0-9]+: Address already"):
        ListeningServer(Starlette(), host="127.0.0.1", port=int(first.url.rpartition(":")[2]))
    first._socket.close()


async def test_a_store_that_does_not_start_stops_the_start(folder: Path) -> None:
    """The error is the store's sentence."""
    first = GatewayServer(Settings(data_dir=folder), host="127.0.0.1", port=0)
    second = GatewayServer(Settings(data_dir=folder), host="127.0.0.1", port=0)
    async with running(first):
        with pytest.raises(StartError, match="another gateway uses the data directory"):
            async with running(second):
                pass
        with pytest.raises(httpx2.ConnectError):  # and its port is free again
            httpx2.get(second.url, trust_env=False, timeout=2)


@pytest.mark.slow
async def test_a_gateway_can_start_anew_with_each_change(valkey: Valkey, folder: Path) -> None:
    """`--reload` speaks HTTP like any other gateway, and ends with all its processes."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--reload", "--port", str(port)),
        env={**os.environ, "REDIS_URL": valkey.url, "RELAY_DATA_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )

    url = f"http://127.0.0.1:{port}"

    async def serves() -> bool:
        try:
            return httpx2.get(f"{url}/ready", trust_env=False).is_success
        except httpx2.TransportError:
            return False

    try:
        await until(serves)
        async with client(url) as relay:
            assert "server" not in (await relay.get("/version")).headers
            answered = await answers_to(relay, b"GET /version HTTP/1.1\r\n\r\n")
            assert answered.startswith(b"HTTP/1.1 400 ")
    finally:
        process.terminate()
        said, _ = await process.communicate()
    assert said.decode().startswith(f"Relay listens on http://127.0.0.1:{port} (development)\n")
    assert not await serves()


@pytest.mark.parametrize("host", ["nosuch.invalid", "[::1]"])
def test_a_host_that_does_not_resolve_is_named(host: str) -> None:
    """Its error has a number that no table of errors knows."""
    with pytest.raises(StartError) as raised:
        ListeningServer(Starlette(), host=host, port=0)
    assert str(raised.value) == f"cannot listen on {host}:0: the host does not resolve"
