"""Call a Lua script by name; concurrent calls share a pipeline.

A command in a pipeline of 32 costs about 19 microseconds of CPU, one alone 71 to 180 (redis-py
8.1, hiredis). A call goes out at once if no other call is waiting, and not in a pipeline of one,
which costs 30 more. Only concurrent calls wait for the end of the event loop's turn. Every script
may be sent twice: a call whose reply was lost is sent once more, then `RedisUnavailable` is
raised. The header of a script is its contract, and all times come from the server.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

_LUA = files("stores.redis").joinpath("lua")


def _source(text: str) -> str:
    """The script with its includes: a line `-- include name` is replaced by that file."""

    def part(line: re.Match[str]) -> str:
        return _LUA.joinpath("include", f"{line[1]}.lua").read_text()

    return re.sub(r"^-- include (\w+)\n", part, text, flags=re.MULTILINE)


SOURCES = {
    entry.name.removesuffix(".lua"): _source(entry.read_text())
    for entry in _LUA.iterdir()
    if entry.name.endswith(".lua")
}


class RedisUnavailable(Exception):
    """Redis did not answer in time, or refused. The call may have happened or not."""


class UnknownAnswer(Exception):
    """A script gave an answer that its contract does not list."""


class _Call(NamedTuple):
    name: str
    keys: Sequence[str]
    args: Sequence[str | bytes | int | timedelta]

    def command(self, digest: str) -> tuple[str | bytes | int, ...]:
        args = (_ms(arg) if isinstance(arg, timedelta) else arg for arg in self.args)
        return ("EVALSHA", digest, len(self.keys), *self.keys, *args)


# A call with the future of its reply, which may be an exception.
_Turn = list[tuple[_Call, asyncio.Future[Any]]]


# Gets every round trip: its seconds, and how many calls shared it.
Observer = Callable[[float, int], None]


class Scripts:
    def __init__(
        self,
        client: "Redis",
        *,
        patience: float = 1.7,
        observer: Observer | None = None,
        demoted: Callable[[], None] = lambda: None,
    ) -> None:
        """`patience`: seconds for all attempts of one call; clients get a 503 within 2.
        `demoted` is called when the server has become a replica.
        """
        self._client = client
        self._demoted = demoted
        self._patience = patience
        self._observer = observer
        self._digests: dict[str, str] = {}
        self._loading = asyncio.Lock()
        self._under_way = 0
        self._turn: _Turn | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Load every script into the server. Raises RedisUnavailable."""
        try:
            async with asyncio.timeout(self._patience):
                self._digests = {
                    name: await self._client.script_load(source) for name, source in SOURCES.items()
                }
        except (RedisError, OSError) as error:
            raise RedisUnavailable(str(error)) from error

    async def call(
        self, name: str, keys: Sequence[str], *args: str | bytes | int | timedelta
    ) -> list[Any]:
        """Run a script and return its tagged answer. Durations are sent in milliseconds.

        Raises RedisUnavailable.
        """
        call = _Call(name, keys, args)
        if self._under_way:
            reply = await self._in_next_turn(call)
        else:
            [reply] = await self._send([call])
        if isinstance(reply, BaseException):
            raise RedisUnavailable(f"{type(reply).__name__}: {reply}")
        return reply  # type: ignore[no-any-return]

    def _in_next_turn(self, call: _Call) -> asyncio.Future[Any]:
        if self._turn is None:
            self._turn = []
            task = asyncio.create_task(self._send_turn(self._turn))
            self._tasks.add(task)
            task.add_done_callback(partial(self._sent, self._turn))
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._turn.append((call, reply))
        return reply

    async def _send_turn(self, turn: _Turn) -> None:
        self._turn = None  # a task starts in the next turn: later calls belong to another one
        replies = await self._send([call for call, _ in turn])
        for (_, future), reply in zip(turn, replies, strict=True):
            if not future.done():  # its caller may have gone away
                future.set_result(reply)

    def _sent(self, turn: _Turn, task: asyncio.Task[None]) -> None:
        """End every wait for the pipeline, even if it failed or was cancelled."""
        self._tasks.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        for _, future in turn if failure else ():
            if not future.done():
                future.set_result(failure)

    async def _send(self, calls: list[_Call]) -> list[Any]:
        """A reply for each call; the same exception for all if the server did not answer."""
        self._under_way += 1
        try:
            async with asyncio.timeout(self._patience):
                async with self._loading:  # one loads, the others wait for it
                    if not self._digests:
                        await self.load()
                replies = await self._pipeline(calls)
                if any(isinstance(reply, ReadOnlyError) for reply in replies):
                    # A planned failover made this server a replica; new connections find the new
                    # primary by name.
                    await self.drop_connections()
                    replies = await self._pipeline(calls)
                if any(isinstance(reply, NoScriptError) for reply in replies):
                    await self.load()
                    replies = await self._pipeline(calls)
                return replies
        except (RedisError, OSError, RedisUnavailable) as error:
            return [error] * len(calls)
        finally:
            self._under_way -= 1

    async def drop_connections(self) -> None:
        """Close the idle connections; new ones resolve the server's name again."""
        self._demoted()
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _pipeline(self, calls: list[_Call]) -> list[Any]:
        started = time.perf_counter()
        try:
            return await self._round_trip(calls)
        finally:
            if self._observer:
                self._observer(time.perf_counter() - started, len(calls))

    async def _round_trip(self, calls: list[_Call]) -> list[Any]:
        commands = [call.command(self._digests[call.name]) for call in calls]
        if len(commands) == 1:  # a pipeline of one costs 30 microseconds more
            try:
                return [await self._client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            except ResponseError as error:
                return [error]
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
