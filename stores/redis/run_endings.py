"""Wait for a run that another process ends, or follow a workspace, without polling.

One pattern subscription on one connection reports the endings of all runs and the new states of
all approvals. It is open only while a caller waits. Subscribing and unsubscribing for each run
caused races.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from stores import tasks
from stores.redis import names
from stores.redis.scripts import RedisUnavailable


class Follower(NamedTuple):
    """`changed` gets the id and the new state of a run or an approval. `lost` is called when
    changes may have been missed.
    """

    changed: Callable[[str, str], None]
    lost: Callable[[], None]


class RunEndings:
    def __init__(self, client: Redis, *, patience: float = 1.7, silence: float = 2.0) -> None:
        """`patience`: how many seconds the server may take to confirm the subscription. `silence`:
        after how many seconds without a message the connection is tried with a PING.
        """
        self._silence = silence
        self._client = client
        self._patience = patience
        self._current: _Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def wait_for(self, workspace: str, changed_id: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set when the run ends, or the approval of the preview with this
        id changes, or when that may have been missed.

        Read it after entering, because it may have ended before, and again after the event.
        Raises RedisUnavailable.
        """
        listener = self._listener()
        channel = names.changed(workspace, changed_id)
        ended = listener.wait_for(channel)
        try:
            await self._subscribed(listener)
            yield ended
        finally:
            listener.leave(channel, ended)
            self._end_idle(listener)

    @asynccontextmanager
    async def follow(self, workspace: str, follower: Follower) -> AsyncIterator[None]:
        """Call the follower for each change of the workspace while the block lasts.

        Raises RedisUnavailable.
        """
        listener, prefix = self._listener(), names.changed_prefix(workspace)
        listener.follow(prefix, follower)
        try:
            await self._subscribed(listener)
            yield
        finally:
            listener.leave_changes(prefix, follower)
            self._end_idle(listener)

    def reconnect(self) -> None:
        """Listen on a new connection from now on; callers that wait read their runs again."""
        if self._current:
            self._end(self._current)

    async def close(self) -> None:
        if self._current:
            self._end(self._current)
        await tasks.end(self._tasks)

    def _listener(self) -> "_Listener":
        if self._current is None or self._current.lost:
            self._current = listener = _Listener(self._silence)
            listener.task = asyncio.create_task(
                listener.listen(self._client),
                context=Context(),  # it outlives the request that started it
            )
            self._tasks.add(listener.task)
            listener.task.add_done_callback(self._tasks.discard)
        return self._current

    async def _subscribed(self, listener: "_Listener") -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await listener.confirmed.wait()
        if not listener.subscribed:
            raise RedisUnavailable("Redis did not confirm the subscription")

    def _end_idle(self, listener: "_Listener") -> None:
        if not (listener.watchers or listener.followers):
            self._end(listener)

    def _end(self, listener: "_Listener") -> None:
        if listener.task:
            listener.task.cancel()
        if self._current is listener:
            self._current = None


class _Listener:
    """One subscription, from its confirmation to the loss of its connection."""

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self.watchers: dict[str, set[asyncio.Event]] = {}
        self.followers: dict[str, set[Follower]] = {}
        self.confirmed = asyncio.Event()
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    @property
    def subscribed(self) -> bool:
        return self.confirmed.is_set() and not self.lost

    def wait_for(self, channel: str) -> asyncio.Event:
        ended = asyncio.Event()
        self.watchers.setdefault(channel, set()).add(ended)
        return ended

    def leave(self, channel: str, ended: asyncio.Event) -> None:
        self.watchers[channel].discard(ended)
        if not self.watchers[channel]:
            del self.watchers[channel]

    def follow(self, prefix: str, follower: Follower) -> None:
        self.followers.setdefault(prefix, set()).add(follower)

    def leave_changes(self, prefix: str, follower: Follower) -> None:
        self.followers[prefix].discard(follower)
        if not self.followers[prefix]:
            del self.followers[prefix]

    async def listen(self, client: Redis) -> None:
        try:
            with suppress(RedisError, OSError):
                async with client.pubsub() as pubsub:
                    await pubsub.psubscribe(names.ANY_CHANGED)
                    await self._receive_all(pubsub)
        finally:
            self.lost = True
            self._wake_all()
            self.confirmed.set()

    async def _receive_all(self, pubsub: PubSub) -> None:
        """Return once the connection is deaf: a PING has no answer."""
        asked = False
        while True:
            message = await pubsub.get_message(timeout=self._silence)
            if message is not None:
                asked = False
                self._receive(message)
            elif asked:
                return
            else:
                asked = True
                await pubsub.ping()

    def _receive(self, message: dict[str, Any]) -> None:
        if message["type"] == "pong":
            return
        if message["type"] == "pmessage":
            channel, state = message["channel"].decode(), message["data"].decode(errors="replace")
            self._wake(channel)
            prefix, changed = names.changed_id(channel)
            for follower in tuple(self.followers.get(prefix, ())):
                follower.changed(changed, state)
        elif self.confirmed.is_set():
            self._wake_all()  # a new connection: an ending may have been missed
        self.confirmed.set()

    def _wake_all(self) -> None:
        self._wake(*self.watchers)
        for followers in tuple(self.followers.values()):
            for follower in tuple(followers):
                follower.lost()

    def _wake(self, *channels: str) -> None:
        for channel in channels:
            for ended in self.watchers.get(channel, ()):
                ended.set()
