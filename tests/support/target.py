"""A webhook target on a real socket: it answers as the test configures and keeps every request."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tests.support.tcp import tcp_server

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Delivery(NamedTuple):
    """One request as it was received. `headers`: in the order in which they were sent."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers}[name.lower()]


def status(code: int, body: bytes = b"OK", *headers: str) -> Answer:
    """A complete response that keeps the connection."""
    lines = [f"HTTP/1.1 {code} Status", f"Content-Length: {len(body)}", *headers, "", ""]

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return answer


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send nothing until the other side gives up."""
    await reader.read()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request, then close the connection with a reset (RST)."""
    writer.transport.abort()


class Target:
    """`answer` may be changed while it runs; `arrived` is set by each delivery."""

    def __init__(self) -> None:
        self.answer: Answer = status(200)
        self.deliveries: list[Delivery] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.deliveries.append(await _request(reader))
                self.arrived.set()
                await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has closed
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _request(reader: asyncio.StreamReader) -> Delivery:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (row.partition(":") for row in rest)]
    length = {name.lower(): value for name, value in headers}.get("content-length", "0")
    return Delivery(line, headers, await reader.readexactly(int(length)))


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, *, port: int = 0) -> AsyncIterator[Target]:
    """`port`: a free one unless given."""
    target = Target()
    async with tcp_server(target.serve, tls=tls, port=port) as bound:
        target.url = f"http{'s' if tls else ''}://127.0.0.1:{bound}/hook"
        yield target
