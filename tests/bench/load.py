"""Two loads: a closed one, where each connection sends when it has its answer, and an open one,
which sends by the clock whatever the answers do.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.bench.connection import Connection, connect

# Seconds until a load that hangs is given up.
PATIENCE = 90
# Connections of the open load. A request that finds none free waits for one, and its latency
# counts from when it was due.
OPEN_CONNECTIONS = 256
# Given the last answer, the next request; None when the connection has done its share.
Script = Callable[[bytes], bytes | None]


class Load(NamedTuple):
    """`seconds` of wall time, `client_seconds` of our own CPU, a latency for each request."""

    seconds: float
    client_seconds: float
    latencies: list[float]


def each(requests: Iterator[bytes]) -> Script:
    """A script that sends what a shared iterator still holds."""
    return lambda _: next(requests, None)


async def closed_load(port: int, scripts: Sequence[Script]) -> Load:
    """Run one connection a script until all have done their share."""
    latencies: list[float] = []
    following: dict[Connection, Script] = {}

    def step(connection: Connection, answer: bytes) -> None:
        request = following[connection](answer)
        if request is None:
            connection.close()
        else:
            connection.send(request, time.perf_counter())

    def answered(connection: Connection, answer: bytes) -> None:
        latencies.append(time.perf_counter() - connection.due)
        step(connection, answer)

    connections = await connect(port, len(scripts), answered)
    following.update(zip(connections, scripts, strict=True))
    wall, cpu = time.perf_counter(), time.process_time()
    for connection in connections:
        step(connection, b"")
    await _all(connections)
    return Load(time.perf_counter() - wall, time.process_time() - cpu, latencies)


async def open_load(
    port: int,
    requests: Iterator[bytes],
    *,
    number: int,
    rate: float,
    seen: Callable[[bytes], object] = bool,
) -> Load:
    """Send `number` requests, `rate` a second, and show `seen` each answer.

    No latency is omitted: each counts from its due time, so that a stall of the server counts for
    every request that was due meanwhile.
    """
    schedule = Schedule(requests, number, seen)
    connections = await connect(port, OPEN_CONNECTIONS, schedule.answered)
    schedule.free.extend(connections)
    wall, cpu = time.perf_counter(), time.process_time()
    loop = asyncio.get_running_loop()
    metronome = threading.Thread(target=_tick, args=(loop, schedule.due, number, rate), daemon=True)
    metronome.start()
    await _all(connections, PATIENCE + number / rate)
    metronome.join()
    return Load(time.perf_counter() - wall, time.process_time() - cpu, schedule.latencies)


class Schedule:
    """Sends each request when it is due, over a connection that is free."""

    def __init__(
        self, requests: Iterator[bytes], number: int, seen: Callable[[bytes], object]
    ) -> None:
        self._requests, self._number, self._seen = requests, number, seen
        self._waiting: deque[float] = deque()
        self.free: deque[Connection] = deque()
        self.latencies: list[float] = []

    def due(self, at: float) -> None:
        self._waiting.append(at)
        self._send()

    def answered(self, connection: Connection, answer: bytes) -> None:
        self.latencies.append(time.perf_counter() - connection.due)
        self._seen(answer)
        self.free.appendleft(connection)  # the last used first, as a pool does
        if len(self.latencies) == self._number:
            for each_connection in self.free:
                each_connection.close()
        else:
            self._send()

    def _send(self) -> None:
        while self._waiting and self.free:
            self.free.popleft().send(next(self._requests), self._waiting.popleft())


def _tick(
    loop: asyncio.AbstractEventLoop, due: Callable[[float], None], number: int, rate: float
) -> None:
    """Call `due` at each moment of the schedule, from a thread: the timers of an event loop have
    steps of a millisecond.
    """
    started = time.perf_counter()
    for turn in range(number):
        at = started + turn / rate
        time.sleep(max(0.0, at - time.perf_counter()))
        loop.call_soon_threadsafe(due, at)


async def _all(connections: Sequence[Connection], patience: float = PATIENCE) -> None:
    async with asyncio.timeout(patience):
        await asyncio.gather(*(connection.done for connection in connections))
