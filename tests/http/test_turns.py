"""One read may hold 40,000 chunks: they are parsed in turns, and others are served in between."""

import asyncio
import time

import pytest

from gateway.http import protocol
from tests.support.gateways import Relay
from tests.support.raw_requests import chunked

CONNECTIONS = 10
CHUNKS = chunked(b"1\r\n \r\n" * 40_000 + b"0\r\n\r\n")
# Seconds of CPU between two turns of the loop; each connection may use 2 ms, its client too.
LAG_MAX = 0.12


async def slowest_turn(done: asyncio.Event) -> float:
    """Seconds of this thread's CPU: on a busy machine the clock would count what others do."""
    slowest, before = 0.0, time.thread_time()
    while not done.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        slowest, before = max(slowest, now - before), now
    return slowest


@pytest.mark.parametrize("bounded", [True, False])
async def test_small_chunks_leave_others_their_turn(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, bounded: bool
) -> None:
    """Ten clients send 240 kB each. Without the bound one turn takes a quarter of a second."""
    if not bounded:
        monkeypatch.setattr(protocol, "TURN_MAX", 1 << 20)
    url, done = relay.base_url, asyncio.Event()

    async def sent() -> bytes:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(CHUNKS)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return answer

    turns = asyncio.create_task(slowest_turn(done))
    answers = await asyncio.gather(*(sent() for _ in range(CONNECTIONS)))
    done.set()
    assert all(answer.startswith(b"HTTP/1.1 400 ") for answer in answers)
    assert (await turns < LAG_MAX) == bounded
