"""A connection to Redis or PostgreSQL that a test can cut, also at a chosen request."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from typing import Literal, NamedTuple

from stores.redis.scripts import SOURCES
from tests.support.tcp import tcp_server

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Instant = Literal["before", "after"]


class Step(NamedTuple):
    """A request. `moment`: stop before the server gets it, or after the server has replied."""

    sign: re.Pattern[bytes]
    moment: Instant


class Line:
    def __init__(self, reach: Callable[[], Awaitable[Streams]]) -> None:
        self._reach = reach
        self._writers: set[asyncio.StreamWriter] = set()
        self._step: Step | None = None
        self._then: Callable[[], None] = lambda: None
        self.port = 0
        # Every request that arrived, whole or in pieces.
        self.asked: list[bytes] = []
        self.reached = asyncio.Event()
        self._away = False

    @property
    def url(self) -> str:
        """The URL for Redis."""
        return f"redis://127.0.0.1:{self.port}"

    def at(self, step: Step, then: Callable[[], None]) -> None:
        """Call `then` once at this step, and pass nothing on afterwards."""
        self._step, self._then = step, then

    def cut(self) -> None:
        """Close all connections, and every new one at once, until `restore`."""
        self._away = True
        for writer in self._writers:
            writer.close()

    def restore(self) -> None:
        self._away = False

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self._away:
            back.close()
            return
        server, forth = await self._reach()
        self._writers |= {back, forth}
        replies = asyncio.create_task(self._replies(server, back))
        try:
            with suppress(ConnectionError):
                while request := await client.read(1 << 20):
                    self.asked.append(request)
                    if self._step and self._step.sign.search(request):
                        await self._reached(self._step, request, server, forth, replies)
                        break
                    forth.write(request)
        finally:
            self._writers -= {back, forth}
            forth.close()
            back.close()
            replies.cancel()
            await asyncio.wait({replies})

    async def _reached(
        self,
        step: Step,
        request: bytes,
        server: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        replies: asyncio.Task[None],
    ) -> None:
        self._step = None
        if step.moment == "after":
            replies.cancel()
            await asyncio.wait({replies})
            forth.write(request)
            await server.read(1 << 20)
        self._then()
        self._away = True
        self.reached.set()

    async def _replies(self, server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while reply := await server.read(1 << 20):
                back.write(reply)
        back.close()


def script(name: str, *, with_: str = "") -> re.Pattern[bytes]:
    """A call of this script whose arguments contain `with_`."""
    digest = sha1(SOURCES[name].encode(), usedforsecurity=False).hexdigest()
    return re.compile(f"{digest}.*{with_}".encode(), re.DOTALL)


@asynccontextmanager
async def line(reach: Callable[[], Awaitable[Streams]]) -> AsyncIterator[Line]:
    """A line with its own port."""
    between = Line(reach)
    async with tcp_server(between.serve) as between.port:
        yield between
