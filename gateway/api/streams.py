"""Streams of server-sent events (WHATWG HTML, 9.2): who listens, and when a stream ends.

A stream says that something has changed, never what is the case, and repeats nothing: a client
reads anew whenever it connects. So a stream may end at any time. It does after five minutes, when
its key or session ends, when a change may have been missed, when its client is slow, and before
anything else when the gateway stops.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Literal, NamedTuple, get_args

import msgspec

from gateway import problems
from gateway.access.admission import Admission
from gateway.access.principal import Principal
from gateway.access.sessions import Session
from gateway.telemetry import metrics
from stores.approvals import State
from stores.redis.run_endings import Follower, RunEndings

Kind = Literal["approval", "run"]

# A browser has a stream for each visible tab. One stream takes about 30 kB.
STREAMS_MAX, STREAMS_OF_KEY_MAX = 200, 20
# Changes that wait to be sent. A client that is so far behind reads anew instead.
WAITING_MAX = 100

ALIVE = b": alive\n\n"
_APPROVAL_STATES = frozenset(get_args(State))


class Paces(NamedTuple):
    """Seconds. `longest`: of one stream. `silence`: after which it says that it is alive; proxies
    end what says nothing for a minute, HAProxy as deployed after 45 s. `check`: between two looks
    at the key or the session, of whose end a gateway learns within 2 s.
    """

    longest: float = 300.0
    silence: float = 15.0
    check: float = 1.0


PACES = Paces()


class Stream:
    """What one client has not been sent yet."""

    def __init__(
        self, kinds: Collection[Kind], admitted: Callable[[], bool], paces: Paces = PACES
    ) -> None:
        """`admitted`: whether the client may still listen."""
        self._kinds = kinds
        self._admitted = admitted
        self._paces = paces
        self._waiting: dict[str, bytes] = {}
        self._woken = asyncio.Event()
        self._ended = False

    def changed(self, changed_id: str, state: str) -> None:
        kind: Kind = "approval" if state in _APPROVAL_STATES else "run"
        if kind not in self._kinds:
            return
        self._waiting.pop(changed_id, None)  # only the last state of each is of use
        self._waiting[changed_id] = event(kind, changed_id, state)
        self._woken.set()
        if len(self._waiting) > WAITING_MAX:
            self.end()

    def end(self) -> None:
        self._ended = True
        self._woken.set()

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """What to send, as it happens, until the stream ends."""
        now = time.monotonic()
        until, silent_until = now + self._paces.longest, now + self._paces.silence
        while now < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._paces.check):
                    await self._woken.wait()
            self._woken.clear()
            if self._ended or not self._admitted():
                return
            now = time.monotonic()
            if self._waiting or now >= silent_until:
                part = b"".join(self._waiting.values()) or ALIVE
                self._waiting.clear()
                silent_until = now + self._paces.silence
                yield part


class Streams:
    """All streams of this process."""

    def __init__(self, run_endings: RunEndings, admission: Admission) -> None:
        self._run_endings = run_endings
        self._admission = admission
        self._open: set[Stream] = set()
        self._of_key: Counter[tuple[str, str]] = Counter()
        self._closed = False

    @asynccontextmanager
    async def listening(
        self, kinds: Collection[Kind], principal: Principal, session: Session | None
    ) -> AsyncIterator[Stream]:
        """A stream of these kinds of changes in the caller's workspace.

        Raises RateLimited, NotReady and RedisUnavailable.
        """
        owner = principal.workspace, principal.id
        self._check_room(owner)
        stream = Stream(kinds, lambda: self._admission.still_admits(principal, session))
        self._open.add(stream)
        self._of_key[owner] += 1
        metrics.studio_streams.inc()
        try:
            follower = Follower(stream.changed, stream.end)
            async with self._run_endings.follow(principal.workspace, follower):
                yield stream
        finally:
            self._open.discard(stream)
            self._of_key -= Counter([owner])  # which also drops the owner at 0
            metrics.studio_streams.dec()

    def close(self) -> None:
        """End all streams, and open no other."""
        self._closed = True
        for stream in tuple(self._open):
            stream.end()

    def _check_room(self, owner: tuple[str, str]) -> None:
        """Raises NotReady and RateLimited."""
        if self._closed:
            raise problems.NotReady("This gateway is stopping.", headers={"Retry-After": "1"})
        if self._of_key[owner] >= STREAMS_OF_KEY_MAX or len(self._open) >= STREAMS_MAX:
            whose = "of this key" if len(self._open) < STREAMS_MAX else "of this gateway"
            detail = f"The streams {whose} are all in use. Read again every 10 s instead."
            raise problems.RateLimited(detail, headers={"Retry-After": "10"})


def event(kind: Kind, changed_id: str, state: str) -> bytes:
    # A run that was given back sent nothing.
    state = "not_sent" if state == "released" else state
    data = msgspec.json.encode({"id": changed_id, "state": state})
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def readable(principal: Principal) -> Collection[Kind]:
    """The kinds of changes that its scopes let a caller read. Raises Forbidden."""
    kinds: list[Kind] = []
    if "approvals:read" in principal.scopes:
        kinds.append("approval")
    if "runs:read" in principal.scopes:
        kinds.append("run")
    if not kinds:
        raise problems.Forbidden("The key lacks the scope runs:read or approvals:read.")
    return kinds
