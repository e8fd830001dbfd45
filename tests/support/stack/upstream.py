"""A replica that is ready and then misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.support.tcp import tcp_server

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(text: str) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        await writer.drain()

    return behave


async def stands_still(_: asyncio.StreamWriter) -> None:
    """As a stopped process: the kernel takes connections, and nothing is answered."""
    await asyncio.Event().wait()


async def hangs_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


class Upstream:
    """`requests`: the head of each request except health checks. `check`: what these get."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.check = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.requests: list[str] = []

    async def asked(self) -> bool:
        return bool(self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("GET /ready "):
                await self.check(writer)
            else:
                self.requests.append(head)
                await self.behave(writer)
        writer.close()


@asynccontextmanager
async def upstream(host: str, port: int, behave: Behaviour) -> AsyncIterator[Upstream]:
    opened = Upstream(behave)
    async with tcp_server(opened.serve, host=host, port=port):
        yield opened
