"""A response belongs to the request before it, never to the next one on the connection."""

import asyncio

import pytest

from gateway.egress.client import Egress
from gateway.outcomes import Answered
from tests.egress.test_client import effect, egress, send
from tests.support.target import Target, listening, status

__all__ = ["egress"]  # the fixture

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
SPARE = b"HTTP/1.1 500 Spare\r\nContent-Length: 5\r\n\r\nspare"
ANSWERED = Answered(status_code=200, response="OK", truncated=False)


class Kept:
    """Answers, and keeps the connection, to write on it later."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(self._data)
        await writer.drain()


async def test_a_second_response_is_not_kept(egress: Egress, target: Target) -> None:
    """Two responses to one request: the second does not answer the next request."""
    target.answer = Kept(OK + SPARE)
    assert await send(egress, effect(target.url)) == ANSWERED
    target.answer = status(200)
    assert await send(egress, effect(target.url)) == ANSWERED
    assert len(target.deliveries) == 2


@pytest.mark.parametrize(
    "spare", [SPARE, SPARE[:20], b"junk\r\n\r\n"], ids=["whole", "part", "junk"]
)
async def test_bytes_on_an_idle_connection_are_no_response(
    egress: Egress, target: Target, spare: bytes
) -> None:
    """A 408, for example, does not answer the next request."""
    target.answer = kept = Kept(OK)
    assert await send(egress, effect(target.url)) == ANSWERED
    kept.writers[0].write(spare)
    async with listening() as other:  # a whole exchange later it has arrived
        assert await send(egress, effect(other.url)) == ANSWERED
    assert await send(egress, effect(target.url)) == ANSWERED
    assert len(target.deliveries) == 2
