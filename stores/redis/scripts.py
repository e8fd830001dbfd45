"""Call a Lua script by name, over one line that all calls share.

Every script may be sent twice: a call whose reply was lost is sent once more, then
`RedisUnavailable` is raised. The header of a script is its contract, and all times come from the
server. What an error reply means stands in one table: whether another connection may reach the
primary, whether asking again helps, or neither.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from datetime import timedelta
from hashlib import sha1
from importlib.resources import files
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from stores import tasks
from stores.redis.line import Line, LineCut, NotPrimary, Observer, Refused

# Seconds; clients get a 503 within 2.
PATIENCE = 1.7
# A server that is busy or loads its data is asked again after this many seconds.
PAUSE = 0.05
# The server is no primary for us: a new connection resolves its name again, after a failover.
ELSEWHERE = {"READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN", "UNBLOCKED"}
BUSY = {"LOADING", "BUSY", "TRYAGAIN"}

_LUA = files("stores.redis").joinpath("lua")


def _source(text: str) -> str:
    """The script with its includes: a line `-- include one, other` is replaced by those files."""

    def parts(line: re.Match[str]) -> str:
        names = line[1].split(", ")
        files = [_LUA.joinpath("include", f"{name}.lua") for name in names]
        return "".join(file.read_text(encoding="utf-8") for file in files)

    return re.sub(r"^-- include (.+)\n", parts, text, flags=re.MULTILINE)


SOURCES = {
    entry.name.removesuffix(".lua"): _source(entry.read_text(encoding="utf-8"))
    for entry in _LUA.iterdir()
    if entry.name.endswith(".lua")
}
_DIGESTS = {name: sha1(source.encode()).hexdigest() for name, source in SOURCES.items()}  # noqa: S324 - EVALSHA's

Argument = str | bytes | int | timedelta


class RedisUnavailable(Exception):
    """Redis did not answer in time, or refused. The call may have happened or not.

    `sentence`: what is the case, for anyone to read.
    """

    def __init__(self, detail: str, *, sentence: str = "Redis does not answer.") -> None:
        super().__init__(detail)
        self.sentence = sentence


class UnknownAnswer(Exception):
    """A script gave an answer that its contract does not list."""


class _Patience:
    """How many seconds the calls of one request may still take."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds


_shared: ContextVar[_Patience | None] = ContextVar("patience", default=None)


@contextmanager
def one_patience(seconds: float = PATIENCE) -> Iterator[None]:
    """Let the calls of this block share what one call may take: a request that makes two calls
    does not wait twice for a slow server.
    """
    token = _shared.set(_Patience(seconds))
    try:
        yield
    finally:
        _shared.reset(token)


class Scripts:
    def __init__(
        self,
        client: "Redis",
        *,
        patience: float = PATIENCE,
        observer: Observer | None = None,
        demoted: Callable[[], None] = lambda: None,
    ) -> None:
        """`client`: its pool makes the connection. `patience`: seconds for all attempts of one
        call. `demoted` is called when the server is no primary for us any more.
        """
        self._demoted = demoted
        # Two replies may be waited for.
        self._reply_patience = patience / 2 - PAUSE
        self._client = client
        self._patience = patience
        self._observer = observer
        self._connecting: asyncio.Task[Line] | None = None
        self._line: Line | None = None

    async def call(self, name: str, keys: Sequence[str], *args: Argument) -> list[Any]:
        """Run a script and return its tagged answer. Durations are sent in milliseconds.

        Raises RedisUnavailable.
        """
        try:
            call = _Call(name, keys, args)
        except UnicodeEncodeError as error:
            raise RedisUnavailable(str(error)) from error
        patience = _shared.get() or _Patience(self._patience)
        started = time.monotonic()
        try:
            reply: object = None
            line = self._line
            if line is not None and line.open and patience.left > self._reply_patience:
                reply = await line.ask(call.command)
                if not isinstance(reply, Exception):
                    return cast("list[Any]", reply)
            left = patience.left - (time.monotonic() - started)
            return await self._again(call, reply, left)
        finally:
            patience.left -= time.monotonic() - started

    def leave(self) -> None:
        """End the connection; the next call makes a new one, which resolves the name again."""
        if self._line:
            self._line.cut("the connection was left")

    async def close(self) -> None:
        self.leave()
        if self._connecting:
            await tasks.end({self._connecting})
            self.leave()

    async def _again(self, call: "_Call", reply: object, seconds: float) -> list[Any]:
        """Do what the reply asks for, until there is an answer. `reply`: None before the first."""
        lost, moved = isinstance(reply, LineCut), False
        try:
            async with asyncio.timeout(max(0, seconds)):
                while True:
                    if isinstance(reply, Refused):
                        await self._refused(reply, again=moved)
                        moved = reply.code in ELSEWHERE
                    line = await self._opened()
                    known = not (isinstance(reply, Refused) and reply.code == "NOSCRIPT")
                    reply = await line.ask(call.command if known else call.with_source)
                    if not isinstance(reply, Exception):
                        return cast("list[Any]", reply)
                    if isinstance(reply, LineCut):
                        if lost:
                            raise RedisUnavailable(str(reply)) from reply
                        lost = True
        except (RedisError, OSError) as error:
            raise _unavailable(reply, error) from error

    async def _refused(self, reply: Refused, *, again: bool) -> None:
        """Prepare the next attempt. Raises RedisUnavailable if another one is of no use."""
        if reply.code in ELSEWHERE:
            self.leave()
            self._demoted()
        elif reply.code not in BUSY and reply.code != "NOSCRIPT":
            raise _unavailable(reply)
        if again or reply.code in BUSY:
            await asyncio.sleep(PAUSE)

    async def _opened(self) -> Line:
        """One task connects for all callers; one that gives up in time does not end it."""
        if self._line is None or not self._line.open:
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.create_task(self._connect(), context=Context())
                self._connecting.add_done_callback(lambda it: it.cancelled() or it.exception())
            return await asyncio.shield(self._connecting)
        return self._line

    async def _connect(self) -> Line:
        pool: Any = self._client.connection_pool  # its methods are not typed
        connection = pool.make_connection()
        await connection.connect()
        self._line = Line(connection, patience=self._reply_patience, observer=self._observer)
        for source in SOURCES.values():  # before the calls, so that EVALSHA finds them
            self._line.ask(_packed("SCRIPT", "LOAD", source))
        return self._line


class _Call:
    def __init__(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> None:
        """Raises UnicodeEncodeError."""
        plain = [_ms(arg) if isinstance(arg, timedelta) else arg for arg in args]
        self._name = name
        self._rest: tuple[Any, ...] = (len(keys), *keys, *plain)
        self.command = _packed("EVALSHA", _DIGESTS[name], *self._rest)

    @property
    def with_source(self) -> bytes:
        """For a server that does not know the script; it does afterwards."""
        return _packed("EVAL", SOURCES[self._name], *self._rest)


def _packed(*words: Any) -> bytes:
    return cast("bytes", pack_command(words))


def _unavailable(reply: object, error: Exception | None = None) -> RedisUnavailable:
    if isinstance(reply, Refused):
        return RedisUnavailable(str(reply), sentence=f"Redis answers {reply.code}.")
    if isinstance(error, NotPrimary):
        return RedisUnavailable(str(error), sentence=f"{error}.")
    if isinstance(error, AuthenticationError):
        return RedisUnavailable(str(error), sentence="Redis refuses the user or the password.")
    return RedisUnavailable(f"{type(error).__name__}: {error}")


_MILLISECOND = timedelta(milliseconds=1)


def _ms(duration: timedelta) -> int:
    return duration // _MILLISECOND
