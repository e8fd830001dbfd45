"""Which connections get another request: those that the target surely still has."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable

import pytest

from gateway.egress.client import Egress
from gateway.outcomes import Answered, NoResponse
from tests.egress.test_client import effect, egress, egress_to, raw, send
from tests.support.target import Target, listening, status
from tests.support.tcp import tcp_server

__all__ = ["egress"]  # the fixture

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


async def served(listener: socket.socket) -> socket.socket:
    """Answer the next request on a new connection, which the test may end at once."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    await loop.sock_recv(connection, 4096)
    await loop.sock_sendall(connection, OK)
    return connection


def end(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    ("keep_alive", "idle", "connections"),
    [
        ("timeout=5", 3.9, 1),
        ("timeout=5", 4.1, 2),
        ("timeout=60", 4.1, 2),
        ("timeout=3", 1.9, 1),
        ("max=100, Timeout = 3", 2.1, 2),
        ('timeout="3"', 2.1, 2),
        ("timeout=1", 0.0, 2),
        ("timeout=0", 0.0, 2),
        ("max=100", 3.9, 1),
        ("timeout=soon", 3.9, 1),
    ],
)
async def test_an_announced_time_is_kept(
    egress: Egress,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    keep_alive: str,
    idle: float,
    connections: int,
) -> None:
    """With a second to spare, and never for longer than four. The test moves the clock."""
    target.answer = status(200, b"OK", f"Keep-Alive: {keep_alive}")
    await send(egress, effect(target.url))
    moved = time.monotonic
    monkeypatch.setattr("gateway.egress.exchange.time.monotonic", lambda: moved() + idle)
    await send(egress, effect(target.url))
    assert (len(target.deliveries), target.connections) == (2, connections)


@pytest.mark.parametrize("ending", [end, reset])
async def test_a_close_that_has_arrived_costs_no_request(
    egress: Egress, ending: Callable[[socket.socket], None]
) -> None:
    """Not even if only the kernel knows of it: the request goes out on a new connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for _ in range(3):
            connection = asyncio.create_task(served(listener))
            assert isinstance(await send(egress, effect(url)), Answered)
            ending(await connection)


async def test_a_target_that_closes_early_gets_new_connections(
    egress: Egress, target: Target
) -> None:
    """Its next close could meet a request on its way. Other targets keep theirs."""
    target.answer = raw(OK)
    await send(egress, effect(target.url))
    async with listening() as other:
        for _ in range(3):
            await send(egress, effect(other.url))
        assert other.connections == 1
    target.answer = status(200)
    for _ in range(3):
        await send(egress, effect(target.url))
    assert target.connections == 4


async def test_a_close_that_met_a_request_is_remembered(egress: Egress, target: Target) -> None:
    """The first is unknown, as nothing proves that the request was not read; then none is."""
    await send(egress, effect(target.url))
    target.answer = raw(b"")
    assert isinstance(await send(egress, effect(target.url)), NoResponse)
    target.answer = status(200)
    for _ in range(3):
        assert isinstance(await send(egress, effect(target.url)), Answered)
    assert (len(target.deliveries), target.connections) == (5, 4)


async def test_a_first_request_that_is_dropped_says_nothing_of_reuse(
    egress: Egress, target: Target
) -> None:
    """A target that answers nothing at all is not one that closes idle connections."""
    target.answer = raw(b"")
    assert isinstance(await send(egress, effect(target.url)), NoResponse)
    target.answer = status(200)
    for _ in range(3):
        await send(egress, effect(target.url))
    assert target.connections == 2


async def test_an_answer_before_the_end_of_the_request_ends_the_connection(
    egress: Egress,
) -> None:
    """The rest of the request would be read as the next one."""
    connections = 0

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await gone.wait()

    gone = asyncio.Event()
    async with tcp_server(early) as port:
        large = effect(f"http://127.0.0.1:{port}/", body=b"a" * 32 * 1024 * 1024)
        for _ in range(2):
            assert isinstance(await send(egress, large), Answered)
        gone.set()
    assert connections == 2


@pytest.mark.parametrize(("idle", "connections"), [(0.0, 1), (3.9, 1), (4.1, 2)])
async def test_a_connection_is_reused_for_four_seconds(
    target: Target, monkeypatch: pytest.MonkeyPatch, idle: float, connections: int
) -> None:
    """Servers close after five. The test moves the clock of the connections."""
    async with egress_to() as fresh:
        await send(fresh, effect(target.url))
        moved = time.monotonic
        monkeypatch.setattr("gateway.egress.exchange.time.monotonic", lambda: moved() + idle)
        await send(fresh, effect(target.url))
    assert (len(target.deliveries), target.connections) == (2, connections)
