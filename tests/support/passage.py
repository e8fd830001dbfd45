"""A TCP address that leads to a Valkey, and may lead to another later, as a DNS name does."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.valkey import Valkey


class Passage:
    def __init__(self, valkey: Valkey) -> None:
        # Where new connections lead.
        self.valkey = valkey
        self.port = 0
        self._clients: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """End every connection with an RST: SO_LINGER with no time sends one."""
        for writer in self._clients:
            line = writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, forth = await asyncio.open_unix_connection(self.valkey.socket)
        self._clients.add(back)
        try:
            await asyncio.gather(_pass(client, forth), _pass(server, back))
        finally:
            self._clients.discard(back)
            forth.close()
            back.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def passage(valkey: Valkey) -> AsyncIterator[Passage]:
    opened = Passage(valkey)
    tasks: set[asyncio.Task[None]] = set()

    def connected(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(opened.serve(client, back))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    opened.port = listening.sockets[0].getsockname()[1]
    try:
        yield opened
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
