"""The loads, against servers on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.bench.figures import percentile
from tests.bench.load import closed_load, each, open_load
from tests.bench.messages import get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
REQUEST = get("/")


@asynccontextmanager
async def serving(answer: Callable[[], bytes]) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(answer())
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def stalling(at: int, seconds: float) -> Callable[[], bytes]:
    """Blocks the server, and whatever else its loop does, before one answer."""
    answered = iter(range(10**6))

    def answer() -> bytes:
        if next(answered) == at:
            time.sleep(seconds)
        return OK

    return answer


async def test_a_closed_load_sends_every_request() -> None:
    async with serving(lambda: OK) as port:
        requests = iter([REQUEST] * 50)
        done = await closed_load(port, [each(requests) for _ in range(4)])
    assert len(done.latencies) == 50
    assert done.client_seconds > 0


async def test_an_open_load_keeps_its_rate() -> None:
    async with serving(lambda: OK) as port:
        done = await open_load(port, iter([REQUEST] * 100), number=100, rate=200)
    assert len(done.latencies) == 100
    assert 0.49 < done.seconds < 2


async def test_a_stall_counts_for_every_request_that_was_due() -> None:
    """A stall of 300 ms at 200 requests a second meets 60 of them, not one."""
    async with serving(stalling(20, 0.3)) as port:
        done = await open_load(port, iter([REQUEST] * 100), number=100, rate=200)
    late = sorted(done.latencies)
    assert sum(latency > 0.1 for latency in late) >= 35
    assert percentile(late, 0.99) > 0.25


async def test_a_closed_load_omits_what_was_due_in_a_stall() -> None:
    """The control: one connection sees the same stall once."""
    async with serving(stalling(20, 0.3)) as port:
        done = await closed_load(port, [each(iter([REQUEST] * 100))])
    assert sum(latency > 0.1 for latency in done.latencies) == 1


@pytest.mark.parametrize("status", [b"404 Not Found", b"503 Busy"])
async def test_an_error_fails_the_load(status: bytes) -> None:
    """Errors are fast: counted as answers they would look like speed."""
    answer = OK.replace(b"200 OK", status)
    async with serving(lambda: answer) as port:
        with pytest.raises(AssertionError, match=status.decode()):
            await closed_load(port, [each(iter([REQUEST]))])
