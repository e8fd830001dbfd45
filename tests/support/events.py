"""Listen to GET /events as a browser does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from tests.support.gateways import Relay

Event = tuple[str, dict[str, Any]]


class Listening:
    """`response`: its head. The stream is open when this is made."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def line(self) -> str:
        """The next line that is not empty. Raises StopAsyncIteration when the stream has ended."""
        while not (line := await anext(self._lines)):
            pass
        return line

    async def next(self) -> Event:
        """Comments are passed over."""
        while not (line := await self.line()).startswith("event: "):
            pass
        data = (await self.line()).removeprefix("data: ")
        return line.removeprefix("event: "), msgspec.json.decode(data)

    async def end(self) -> list[str]:
        """What comes until the server ends the stream."""
        return [line async for line in self._lines if line]


@asynccontextmanager
async def listening(relay: Relay) -> AsyncIterator[Listening]:
    async with relay.stream("GET", "/events") as response:
        assert response.status_code == 200, await response.aread()
        opened = Listening(response)
        assert [await opened.line() for _ in range(3)] == [
            "retry: 1000",
            "event: ready",
            "data: {}",
        ]
        yield opened


async def head(relay: Relay, **headers: str) -> httpx2.Response:
    """The answer of /events with the beginning of its body."""
    async with relay.stream("GET", "/events", headers=headers) as response:
        parts = response.aiter_bytes()
        text = await (response.aread() if response.status_code >= 400 else anext(parts))
        return httpx2.Response(response.status_code, headers=response.headers, content=text)
