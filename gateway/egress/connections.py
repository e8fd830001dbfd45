"""The connections to targets: kept for the next request, for as long as their target keeps them.

A run is `unknown` if its target closes the connection while the request is on its way. Such a
close looks the same whether the request was read or not: what was read need not be acknowledged
before a reset. So no request is written where a close has arrived, and a target that was seen to
close early gets no requests on connections that were idle for as long.
"""

import asyncio
import ssl
import time
from collections import OrderedDict, deque

from yarl import URL

from gateway.egress.answer import IDLE_MARGIN, IDLE_MAX
from gateway.egress.connector import Connector
from gateway.egress.exchange import Connection, TooLate
from gateway.egress.guard import Guard

# More than one process can use. Waiting for a free place counts against the deadline.
CONNECTIONS_MAX = 512
# Seconds for which an early close is remembered. A restart of the target is one, too.
REMEMBERED = 300.0
# Origins whose early closes are remembered.
ORIGINS_MAX = 1024

Origin = tuple[str, str, int]


class Connections:
    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        self.connector = Connector(guard, tls)
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        self._kept = 0
        self._idle: dict[Origin, deque[Connection]] = {}
        self._early: OrderedDict[Origin, tuple[float, float]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self, url: URL, deadline: float) -> Connection:
        """A connection to the origin of the URL, to be given back. Raises as `connect` does.

        `deadline`: on the monotonic clock.
        """
        origin = _origin(url)
        if not self._places.locked() and (connection := self._waiting(origin)):
            await self._places.acquire()  # at once
            return connection
        await self._take_place(deadline)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return self._waiting(origin) or await self.connector.connect(url)
        except BaseException:
            self._places.release()
            raise

    async def _take_place(self, deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise TooLate
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._places.acquire()
        except TimeoutError as error:
            raise TooLate from error

    def give_back(self, url: URL, connection: Connection) -> None:
        self._places.release()
        origin = _origin(url)
        if self._kept < CONNECTIONS_MAX and connection.reusable(self._idle_max(origin)):
            self._kept += 1
            self._idle.setdefault(origin, deque()).append(connection)
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(IDLE_MAX, self._close_old)
        else:
            self._discard(origin, connection)

    async def close(self) -> None:
        if self._sweep:
            self._sweep.cancel()
        for waiting in self._idle.values():
            for connection in waiting:
                connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # in which the transports end

    def _waiting(self, origin: Origin) -> Connection | None:
        """The one that was used last, if its target surely still has it."""
        waiting = self._idle.get(origin)
        while waiting:
            connection = waiting.pop()
            self._kept -= 1
            if connection.reusable(self._idle_max(origin)) and connection.quiet():
                return connection
            self._discard(origin, connection)
        return None

    def _discard(self, origin: Origin, connection: Connection) -> None:
        if connection.dropped:
            self._remember(origin, connection)
        connection.close()

    def _idle_max(self, origin: Origin) -> float:
        seconds, until = self._early.get(origin, (IDLE_MAX, 0.0))
        return seconds if time.monotonic() < until else IDLE_MAX

    def _remember(self, origin: Origin, connection: Connection) -> None:
        seconds = min(self._idle_max(origin), connection.idled - IDLE_MARGIN)
        self._early[origin] = seconds, time.monotonic() + REMEMBERED
        self._early.move_to_end(origin)
        if len(self._early) > ORIGINS_MAX:
            self._early.popitem(last=False)

    def _close_old(self) -> None:
        self._sweep = None
        for origin, waiting in list(self._idle.items()):
            kept = deque[Connection]()
            for connection in waiting:
                if connection.reusable():
                    kept.append(connection)
                else:
                    self._kept -= 1
                    self._discard(origin, connection)
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_MAX / 4, self._close_old)


def _origin(url: URL) -> Origin:
    return url.scheme, url.raw_host or "", url.port or 0
