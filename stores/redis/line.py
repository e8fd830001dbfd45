"""One connection to Redis: calls of one turn of the event loop share a write, and replies come in
the order of the calls.

redis-py connects (TLS, user and password, database, role); hiredis packs and parses. What redis-py
adds to each command costs 40 microseconds of CPU, this 6.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError  # noqa: A004 - redis-py names it so

# Gets every round trip: its seconds, and how many calls shared it.
Observer = Callable[[float, int], None]


class Refused(Exception):
    """An error reply of Redis. Its message stays in the logs: it may name keys and addresses."""

    @property
    def code(self) -> str:
        """The first word, such as READONLY."""
        return str(self).partition(" ")[0]


class NotPrimary(ConnectionError):
    """The server is a replica, perhaps since a failover: its name has to be resolved again."""


class LineCut(Exception):
    """The connection ended, or Redis did not reply in time. The call may have happened or not."""


class _Turn(NamedTuple):
    started: float
    calls: int
    replies: deque[asyncio.Future[Any]]


class Line(asyncio.Protocol):
    def __init__(
        self, connection: AbstractConnection, *, patience: float, observer: Observer | None
    ) -> None:
        """`connection`: connected; it belongs to the line from now on. `patience`: how many seconds
        a reply may take; a slower server is given up with all calls that wait.
        """
        self._patience, self._observer = patience, observer
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=Refused)
        self._commands: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._turns: deque[_Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.open = True
        # redis-py has no public way to hand a connection over. A StreamWriter closes its transport
        # when it is deleted, so it is kept.
        self._writer = connection._writer  # noqa: SLF001
        connection._reader = connection._writer = None  # noqa: SLF001
        self._transport = cast("asyncio.Transport", self._writer.transport)  # type: ignore[union-attr]
        self._transport.set_protocol(self)
        if self._transport.is_closing():  # reset before we listened
            self.cut("the connection was reset")

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """The reply to a packed command. Errors are results: Refused or LineCut."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if not self.open:
            reply.set_result(LineCut("the connection has ended"))
            return reply
        if not self._commands:
            self._loop.call_soon(self._flush)
        self._commands.append(command)
        self._waiting.append(reply)
        return reply

    def cut(self, why: str) -> None:
        """End the connection; every caller that waits gets LineCut."""
        if not self.open:
            return
        self.open = False
        if self._timer:
            self._timer.cancel()
        self._transport.abort()
        for replies in (*(turn.replies for turn in self._turns), self._waiting):
            for reply in replies:
                if not reply.done():
                    reply.set_result(LineCut(why))
        self._turns.clear()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._turns:
            started, calls, replies = self._turns[0]
            while replies:
                try:
                    answer = self._reader.gets()
                except hiredis.ProtocolError as error:
                    self.cut(f"this is not Redis: {error}")
                    return
                if answer is False:  # not whole yet
                    return
                reply = replies.popleft()
                if not reply.done():  # its caller may have gone away
                    reply.set_result(answer)
            self._turns.popleft()
            if self._observer:
                self._observer(time.perf_counter() - started, calls)

    def connection_lost(self, error: Exception | None) -> None:
        self.cut(str(error or "Redis closed the connection"))

    def _flush(self) -> None:
        if not self.open:
            return
        commands, replies = self._commands, self._waiting
        self._commands, self._waiting = [], deque()
        self._turns.append(_Turn(time.perf_counter(), len(replies), replies))
        self._transport.write(b"".join(commands))
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._give_up)

    def _give_up(self) -> None:
        """One timer for all turns: it looks again when the oldest one would be late."""
        self._timer = None
        if self._turns:
            left = self._turns[0].started + self._patience - time.perf_counter()
            if left > 0:
                self._timer = self._loop.call_later(left, self._give_up)
            else:
                self.cut("Redis did not reply in time")
