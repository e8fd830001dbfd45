"""Wait for a run that another process ends: one connection listens, without polling.

It listens to the endings of all runs, only while a caller waits: subscribed by
pattern, there is no subscription to lose between two that come and go.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from stores.redis import names
from stores.redis.scripts import RedisUnavailable


class RunEndings:
    def __init__(self, client: Redis, *, patience: float = 1.7) -> None:
        """`patience`: seconds the server has to confirm that it will tell us."""
        self._client = client
        self._patience = patience
        self._current: _Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def wait_for(self, workspace: str, run_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the run ends, or when that may have been missed.

        Look at the run after entering (it may have ended before) and after the
        event. Raises RedisUnavailable.
        """
        listener = self._listener()
        channel = names.settled(workspace, run_id)
        ended = listener.wait_for(channel)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(listener.confirmed.wait(), self._patience)
            if not listener.subscribed:
                raise RedisUnavailable("Redis did not confirm the subscription")
            yield ended
        finally:
            listener.leave(channel, ended)
            if not listener.watchers:
                self._end(listener)

    def reconnect(self) -> None:
        """Listen on a new connection from now on; callers that wait look again."""
        if self._current:
            self._end(self._current)

    async def close(self) -> None:
        if self._current:
            self._end(self._current)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listener(self) -> "_Listener":
        if self._current is None or self._current.lost:
            self._current = listener = _Listener()
            listener.task = asyncio.create_task(
                listener.hear(self._client),
                context=Context(),  # it outlives the request that began it
            )
            self._tasks.add(listener.task)
            listener.task.add_done_callback(self._tasks.discard)
        return self._current

    def _end(self, listener: "_Listener") -> None:
        if listener.task:
            listener.task.cancel()
        if self._current is listener:
            self._current = None


class _Listener:
    """One subscription, from its confirmation to the loss of its connection."""

    def __init__(self) -> None:
        self.watchers: dict[str, set[asyncio.Event]] = {}
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

    async def hear(self, client: Redis) -> None:
        try:
            with suppress(RedisError, OSError):
                async with client.pubsub() as pubsub:
                    await pubsub.psubscribe(names.ANY_SETTLED)
                    async for message in pubsub.listen():
                        self._tell(message)
        finally:
            self.lost = True
            self._wake(*self.watchers)
            self.confirmed.set()

    def _tell(self, message: dict[str, Any]) -> None:
        if message["type"] == "pmessage":
            self._wake(message["channel"].decode())
        elif self.confirmed.is_set():
            self._wake(*self.watchers)  # connected anew: an ending may have been missed
        self.confirmed.set()

    def _wake(self, *channels: str) -> None:
        for channel in channels:
            for ended in self.watchers.get(channel, ()):
                ended.set()
