"""An answer in one segment and in many: TCP may cut it anywhere."""

import asyncio
import socket

from tests.support.target import Answer, hang


def segments(data: bytes, *, many: bool, then: Answer = hang) -> Answer:
    """Send these bytes, at once or in small pieces, of which each is sent on its own."""
    size = len(data) if not many else 1 if len(data) <= 2048 else 1000

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size or 1):
            writer.write(data[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        await then(reader, writer)

    return answer


async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
