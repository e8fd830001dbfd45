"""A proxy in front of Valkey that loses replies after the server has done the work."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from pathlib import Path
from typing import Literal

from stores.redis.scripts import SOURCES
from tests.support.tcp import tcp_server

Then = Literal["close", "hang"]


class Proxy:
    """`lost` counts lost replies; `alter` may change the others, and `slow` is how many seconds
    each of them takes.
    """

    def __init__(self, backend: Path) -> None:
        self._backend = backend
        self._sign, self._replies, self._then = b"", range(0), "close"
        self._seen = 0
        self.port = 0
        self.lost = 0
        self.slow = 0.0
        self.alter: Callable[[bytes], bytes] = bytes

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def lose(self, what: str, *, nth: int = 1, replies: int = 1, then: Then) -> None:
        """Lose replies to a script or command, each with its connection. `replies`: how many, from
        the nth on. `then`: close the connection, or send nothing more.
        """
        source = SOURCES.get(what)
        digest = sha1(source.encode(), usedforsecurity=False).hexdigest() if source else what
        self._sign = digest.encode()
        self._replies, self._then = range(nth, nth + replies), then

    def _to_lose(self, request: bytes) -> bool:
        if not self._sign or self._sign not in request:
            return False
        self._seen += 1
        return self._seen in self._replies

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, forth = await asyncio.open_unix_connection(self._backend)
        replying = asyncio.create_task(self._reply(server, back))
        try:
            while request := await client.read(1 << 20):
                lose = self._to_lose(request)
                if lose:
                    replying.cancel()
                    await asyncio.wait({replying})
                forth.write(request)
                if lose:
                    await self._lose(server)
                    if self._then == "close":
                        break
        finally:
            forth.close()
            back.close()
            replying.cancel()
            await asyncio.wait({replying})

    async def _reply(self, server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while reply := await server.read(1 << 20):
                await asyncio.sleep(self.slow)
                back.write(self.alter(reply))
        back.close()

    async def _lose(self, server: asyncio.StreamReader) -> None:
        """Discard the reply: the server has done the work."""
        await server.read(1 << 20)
        self.lost += 1


@asynccontextmanager
async def proxy(backend: Path, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy with its own port in front of the server on a unix socket."""
    between = Proxy(backend)
    async with tcp_server(between.serve, tls=tls) as between.port:
        yield between
