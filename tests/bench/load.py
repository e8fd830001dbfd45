"""A load client that is cheap: requests are bytes, answers are read to their length."""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, cast

LENGTH = b"content-length: "
PREVIEW_ID = b'"preview_id":"'

# Seconds until a load that hangs is given up.
PATIENCE = 60
# Given the last answer, the next request; None when the connection has done its share.
Script = Callable[[bytes], bytes | None]


class Load(NamedTuple):
    """`seconds` of wall time, `client_seconds` of our own CPU, a latency for each request."""

    seconds: float
    client_seconds: float
    latencies: list[float]


def request(path: str, body: bytes, key: str = "", api_key: str = "") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
    lines += [f"Authorization: Bearer {api_key}"] if api_key else []
    lines += [f"Idempotency-Key: {key}"] if key else []
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def preview_id(answer: bytes) -> str:
    start = answer.index(PREVIEW_ID) + len(PREVIEW_ID)
    return answer[start : start + 36].decode()


class _Connection(asyncio.Protocol):
    def __init__(self, script: Script, latencies: list[float]) -> None:
        self._script, self._latencies = script, latencies
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop has types of its own
        self._transport = transport
        self._next(b"")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.lower().index(LENGTH) + len(LENGTH)
        length = int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) < end + 4 + length:
            return
        answer, self._buffer = self._buffer, b""
        if not answer.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(AssertionError(answer[:600]))
            return
        self._latencies.append(time.perf_counter() - self._sent)
        self._next(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))

    def _next(self, answer: bytes) -> None:
        following = self._script(answer)
        if following is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._sent = time.perf_counter()
            self._transport.write(following)


async def load(port: int, scripts: list[Script]) -> Load:
    """Run one connection a script until all have done their share."""
    latencies: list[float] = []
    wall, cpu = time.perf_counter(), time.process_time()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(partial(_Connection, script, latencies), "127.0.0.1", port)
        for script in scripts
    ]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(connection.done for _, connection in made))
    return Load(time.perf_counter() - wall, time.process_time() - cpu, latencies)


def each(requests: Iterator[bytes]) -> Script:
    """A script that sends what a shared iterator still holds."""
    return lambda _: next(requests, None)
