"""One line to Redis: what each error reply leads to, and how long a request may take."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from stores.redis.scripts import RedisUnavailable, Scripts, one_patience
from tests.support.clocks import timed
from tests.support.tcp import redis_command, tcp_server

OK = b"*1\r\n$2\r\nok\r\n"
# What a server answers to a call: bytes, or after how many seconds it answers OK.
Reply = bytes | float


class Server:
    """`replies`: to the calls in their order, over all connections; OK when none is left."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.calls: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while words := await redis_command(reader):
            if words[0] not in (b"EVALSHA", b"EVAL"):
                writer.write(b"+OK\r\n")
                continue
            self.calls.append(words[0].decode())
            reply = self.replies.pop(0) if self.replies else OK
            if isinstance(reply, float):
                await asyncio.sleep(reply)
                reply = OK
            writer.write(reply)
            if not reply:
                return


class Client(NamedTuple):
    scripts: Scripts
    server: Server
    demoted: list[int]

    async def call(self) -> object:
        return await self.scripts.call("find", ["key"])


@asynccontextmanager
async def talking(*replies: Reply, patience: float = 1.7) -> AsyncIterator[Client]:
    server, demoted = Server(*replies), list[int]()
    async with tcp_server(server.serve) as port:
        redis = Redis(port=port, protocol=2)
        scripts = Scripts(redis, patience=patience, demoted=lambda: demoted.append(1))
        yield Client(scripts, server, demoted)
        await scripts.close()
        await redis.aclose()


def error(code: str) -> bytes:
    return f"-{code} about a key\r\n".encode()


@pytest.mark.parametrize("code", ["READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN", "UNBLOCKED"])
async def test_a_server_that_is_no_primary_is_left(code: str) -> None:
    """The next connection resolves the name again, within the same call."""
    async with talking(error(code)) as client:
        assert await client.call() == [b"ok"]
        assert client.server.connections == 2
        assert len(client.demoted) == 1


@pytest.mark.parametrize("code", ["LOADING", "BUSY", "TRYAGAIN"])
async def test_a_busy_server_is_asked_again(code: str) -> None:
    """On the same connection, while the patience of the call lasts."""
    async with talking(error(code), error(code)) as client:
        assert await client.call() == [b"ok"]
        assert (client.server.connections, client.demoted) == (1, [])


@pytest.mark.parametrize("code", ["NOREPLICAS", "MISCONF", "OOM", "NOPERM", "WRONGTYPE", "ERR"])
async def test_an_error_that_stays_is_raised_at_once(code: str) -> None:
    """The sentence names it, without what may be secret; the detail for the log has all."""
    async with talking(error(code)) as client:
        with pytest.raises(RedisUnavailable, match=f"{code} about a key") as raised:
            await client.call()
        assert raised.value.sentence == f"Redis answers {code}."
        assert (client.server.calls, client.server.connections) == (["EVALSHA"], 1)


async def test_an_unknown_script_is_sent_with_its_source() -> None:
    async with talking(b"-NOSCRIPT No matching script.\r\n") as client:
        assert await client.call() == [b"ok"]
        assert client.server.calls == ["EVALSHA", "EVAL"]


@pytest.mark.parametrize("last", [b"", error("OOM")])
async def test_a_lost_reply_is_asked_for_once_more(last: bytes) -> None:
    """On a new connection; a second loss is the caller's to know."""
    async with talking(b"") as client:
        assert await client.call() == [b"ok"]
        assert client.server.connections == 2
    async with talking(b"", last) as client:
        with pytest.raises(RedisUnavailable):
            await client.call()
        assert len(client.server.calls) == 2


async def test_garbage_ends_the_connection() -> None:
    async with talking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as client:
        assert await client.call() == [b"ok"]
        assert client.server.connections == 2


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([9.0] * 4, id="silent"),
        pytest.param([error("LOADING")] * 99, id="loading"),
        pytest.param([error("READONLY")] * 999, id="demoted"),
    ],
)
async def test_a_call_ends_within_its_patience(replies: list[Reply]) -> None:
    async with talking(*replies, patience=0.5) as client:
        answer, seconds = await timed(failing(client.call))
        assert isinstance(answer, RedisUnavailable)
        assert seconds < 0.9


async def failing(call: Callable[[], object]) -> object:
    try:
        return await call()  # type: ignore[misc]
    except RedisUnavailable as error:
        return error


async def test_the_calls_of_one_request_share_a_patience() -> None:
    """Two slow calls take as long as one; without the block each has its own."""

    async def two(client: Client) -> list[object]:
        return [await failing(client.call) for _ in range(2)]

    async with talking(0.2, 9.0, 9.0, 9.0, patience=1.0) as client:
        with one_patience(1.0):
            answers, seconds = await timed(two(client))
        assert (answers[0], type(answers[1])) == ([b"ok"], RedisUnavailable)
        assert seconds < 1.5
    async with talking(9.0, 9.0, 9.0, 9.0, patience=1.0) as client:
        began = monotonic()  # a busy machine makes it longer
        await two(client)
        assert monotonic() - began > 1.7


async def test_no_reply_goes_to_another_caller() -> None:
    """A slow call that was given up ends the connection with all that waits on it."""
    async with talking(0.0, 9.0, patience=0.5) as client:
        await client.call()
        first = asyncio.create_task(failing(client.call))
        await asyncio.sleep(0)
        answers = await asyncio.gather(first, *(failing(client.call) for _ in range(5)))
        assert client.server.connections == 2
        assert all(answer == [b"ok"] for answer in answers)
