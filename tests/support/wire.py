"""A minimal HTTP/1.1 client: thousands of requests in little time on two cores."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Connection:
    """A kept-alive connection with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, url: str) -> Self:
        address = urlsplit(url)
        return cls(*await asyncio.open_connection(address.hostname, address.port))

    async def post(self, path: str, asked: dict[str, Any], *headers: str) -> Answer:
        body = json.dumps(asked).encode()
        kind = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        return await self._ask(f"POST {path}", body, *kind, *headers)

    async def get(self, path: str, *headers: str) -> Answer:
        return await self._ask(f"GET {path}", b"", *headers)

    async def text(self, path: str) -> str:
        return (await self._exchange(f"GET {path}", b""))[2].decode()

    async def _ask(self, what: str, body: bytes, *headers: str) -> Answer:
        status, given, answer = await self._exchange(what, body, *headers)
        return Answer(status, given, json.loads(answer))

    async def _exchange(
        self, what: str, body: bytes, *headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        lines = [f"{what} HTTP/1.1", "Host: relay", *headers, "", ""]
        self._writer.write("\r\n".join(lines).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.partition(": ") for line in head[1:] if line)
        given = {name.lower(): value for name, _, value in pairs}
        answer = await self._reader.readexactly(int(given["content-length"]))
        return int(head[0].split()[1]), given, answer

    async def execute(self, preview_id: str, key: str, wait: int, *headers: str) -> Answer:
        headers = (f"Idempotency-Key: {key}", f"Prefer: wait={wait}", *headers)
        return await self.post("/actions/execute", {"preview_id": preview_id}, *headers)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection = await Connection.to(url)
    try:
        yield connection
    finally:
        await connection.close()


async def previewed(connection: Connection, url: str, key: str, *headers: str) -> str:
    """Create a preview whose body names the key."""
    params = {"url": url, "body": {"key": key}}
    asked = {"action": "webhook.save", "params": params}
    answer = await connection.post("/actions/preview", asked, *headers)
    return str(answer.body["preview_id"])
