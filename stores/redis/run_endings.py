"""Wait for a run that another process ends, on one connection and without polling.

One pattern subscription reports the endings of all runs. It is open only while a caller waits.
Subscribing and unsubscribing for each run caused races.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from stores.redis import names
from stores.redis.scripts import RedisUnavailable


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
    async def wait_for(self, workspace: str, run_id: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set when the run ends, or when its ending may have been missed.

        Read the run after entering, because it may have ended before, and again after the event.
        Raises RedisUnavailable.
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
        """Listen on a new connection from now on; callers that wait read their runs again."""
        if self._current:
            self._end(self._current)

    async def close(self) -> None:
        if self._current:
            self._end(self._current)
        await asyncio.gather(*self._tasks, return_exceptions=True)

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

    async def listen(self, client: Redis) -> None:
        try:
            with suppress(RedisError, OSError):
                async with client.pubsub() as pubsub:
                    await pubsub.psubscribe(names.ANY_SETTLED)
                    await self._receive_all(pubsub)
        finally:
            self.lost = True
            self._wake(*self.watchers)
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
            self._wake(message["channel"].decode())
        elif self.confirmed.is_set():
            self._wake(*self.watchers)  # a new connection: an ending may have been missed
        self.confirmed.set()

    def _wake(self, *channels: str) -> None:
        for channel in channels:
            for ended in self.watchers.get(channel, ()):
                ended.set()
