"""One request and its answer on one connection. The request is written once, in one piece.

Nothing here sends a request again.
"""

import asyncio
import socket
import time
from collections.abc import Mapping
from typing import cast

from yarl import URL

from gateway.effects import Effect
from gateway.egress.answer import IDLE_MAX, Answer, NotHttp


class TooLate(TimeoutError):
    """The deadline passed before the target was tried, or between the connect and the write."""


class NoAnswer(Exception):
    """The connection ended before a head had come."""


def request_bytes(effect: Effect, url: URL, added: Mapping[str, str]) -> bytes:
    """Raises ValueError for what could be read as another request."""
    lines = [f"{effect.method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in effect.headers.items()]
    lines += [f"{name}: {value}" for name, value in added.items()]
    body = effect.body or b""
    if effect.has_length:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1:
        raise ValueError("a line end in a header")
    return head.encode("ascii") + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """A connection to a target, for one exchange at a time.

    `dropped`: the target had answered on it, and closed it while it was idle or instead of another
    answer. `idled`: the seconds for which it had then been idle.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.dropped = False
        self.idled = 0.0
        self._socket = sock
        self._open = True
        self._idle_since: float | None = None
        self._idle_max = 0.0
        self._answer = Answer()
        self._done: asyncio.Future[Exception | None] | None = None

    def write(self, request: bytes, deadline: float) -> None:
        """Write the request. Raises OSError before its first byte, and never after.

        `deadline`: on the monotonic clock. It is read here, so that a process that was suspended
        does not send late.
        """
        if time.monotonic() >= deadline:
            raise TooLate
        if not self._open or self._transport.is_closing():
            raise ConnectionResetError
        self._answer = Answer(to_head=request.startswith(b"HEAD "))
        self._done = asyncio.get_running_loop().create_future()
        self.idled, self._idle_max = self.idle, 0.0
        self._transport.write(request)

    async def answered(self, deadline: float) -> Answer:
        """The answer to what was written: a head, and what has come of the body.

        Raises NotHttp, NoAnswer, TimeoutError.
        """
        assert self._done
        left = deadline - time.monotonic()
        timer = asyncio.get_running_loop().call_later(left, self._end, TimeoutError())
        try:
            failure = await self._done
        finally:
            timer.cancel()
            self._answer.end()
            self._done = None
        if failure and not self._answer.status:
            raise failure
        # An answer before the end of the request says nothing about the rest of it.
        if not self._transport.get_write_buffer_size():
            self._idle_max = self._answer.idle_max
            self._idle_since = time.monotonic()
        return self._answer

    @property
    def idle(self) -> float:
        """The seconds since its last answer; 0 before it."""
        return 0.0 if self._idle_since is None else time.monotonic() - self._idle_since

    def reusable(self, idle_max: float = IDLE_MAX) -> bool:
        """Whether it may wait, or wait on, for another request."""
        return self._open and self.idle < min(idle_max, self._idle_max)

    def quiet(self) -> bool:
        """Whether nothing has come since the last answer: no byte, no end, not even in the kernel.

        So no request is written to a connection whose close has arrived.
        """
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass  # a reset
        self._lost()
        return False

    def close(self) -> None:
        self._open = False
        self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._done is None or self._done.done():
            self._lost()  # these bytes answer no request: a 408, or TLS that ends
            self.close()
            return
        try:
            self._answer.feed(data)
        except NotHttp as error:
            self._end(error)
        if self._answer.over:
            self._end()

    def eof_received(self) -> None:
        self._answer.eof()
        self._lost()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost()

    def _lost(self) -> None:
        if self._open:
            self._open = False
            asked = self._done is not None
            self.dropped = self._idle_since is not None and not (asked and self._answer.status)
            self.idled = self.idled if asked else self.idle
        self._end(NoAnswer())

    def _end(self, failure: Exception | None = None) -> None:
        if self._done and not self._done.done():
            self._done.set_result(failure)
