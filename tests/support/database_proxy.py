"""A proxy in front of PostgreSQL that can be silent, like a suspended process, or be cut."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.postgres import Postgres
from tests.support.tcp import tcp_server


class Proxy:
    def __init__(self, backend: int, tls: ssl.SSLContext | None) -> None:
        self._backend, self._tls = backend, tls
        self._lines: set[asyncio.StreamWriter] = set()
        # If set, connections are accepted and nothing passes; what is sent is lost.
        self.silent = False
        self.port = 0

    def url(self, direct: str) -> str:
        return direct.replace(f":{self._backend}/", f":{self.port}/")

    def cut(self) -> None:
        """Close every connection in order."""
        for writer in self._lines:
            writer.close()

    def reset(self) -> None:
        """Reset every connection, like a host that restarts: SO_LINGER without time sends RST."""
        for writer in self._lines:
            line = writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self._tls:
            # An SSLRequest, which a server with TLS answers with S.
            await client.readexactly(8)
            back.write(b"S")
            await back.start_tls(self._tls)
        server, forth = await asyncio.open_connection("127.0.0.1", self._backend)
        self._lines |= {back, forth}
        try:
            await asyncio.gather(self._pass(client, forth), self._pass(server, back))
        finally:
            self._lines -= {back, forth}
            forth.close()
            back.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if not self.silent:
                    writer.write(data)
        writer.close()


@asynccontextmanager
async def proxy(server: Postgres, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """`tls`: speak TLS to clients, like a server with a certificate."""
    between = Proxy(server.port, tls)
    async with tcp_server(between.serve) as between.port:
        yield between
