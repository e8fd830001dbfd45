"""One connection of the load: it sends bytes and reads each answer to its length."""

import asyncio
import re
from collections.abc import Callable
from typing import cast

_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Calls `answered` with each whole answer of status 200; any other fails the load."""

    def __init__(self, answered: Callable[["Connection", bytes], None]) -> None:
        self._answered = answered
        self._buffer = b""
        self._closing = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # When the request was due whose answer is awaited.
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has types of its own

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _length.search(self._buffer, 0, end)
        if not self._buffer.startswith(b"HTTP/1.1 200") or length is None:
            self._fail(AssertionError(self._buffer[:600]))
        elif len(self._buffer) >= end + 4 + int(length[1]):
            answer, self._buffer = self._buffer, b""
            self._answered(self, answer)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closing:
            self._fail(error or ConnectionError("closed"))

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self._transport.write(request)

    def close(self) -> None:
        self._closing = True
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
        self._transport.close()


async def connect(
    port: int, number: int, answered: Callable[[Connection, bytes], None]
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(answered), "127.0.0.1", port)
        for _ in range(number)
    ]
    return [connection for _, connection in made]
