"""Wait for a run that another process ends: one connection listens, nobody polls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from stores import keys
from stores.scripts import StoreUnavailable


class _Channel:
    """The watchers of one run. `open`: the server confirmed. `settled`: look at the run again."""

    def __init__(self) -> None:
        self.watchers = 0
        self.open = asyncio.Event()
        self.settled = asyncio.Event()


class SettledRuns:
    def __init__(self, client: Redis, *, patience: float = 1.8) -> None:
        """`patience`: seconds the server has to confirm that it will tell us."""
        self._pubsub = client.pubsub()
        self._patience = patience
        self._channels: dict[str, _Channel] = {}
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watch(self, workspace: str, run_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the run ends; entered once no ending can be missed.

        Look at the run after entering: it may have ended before. Raises StoreUnavailable.
        """
        name = keys.settled(workspace, run_id)
        channel = self._channels.setdefault(name, _Channel())
        channel.watchers += 1
        try:
            await self._listen(name, channel)
            yield channel.settled
        finally:
            channel.watchers -= 1
            if not channel.watchers:
                del self._channels[name]
                with suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(name)

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
            await asyncio.wait({self._listener})
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, name: str, channel: _Channel) -> None:
        try:
            async with asyncio.timeout(self._patience):
                if channel.watchers == 1:
                    await self._pubsub.subscribe(name)
                if self._listener is None or self._listener.done():
                    self._listener = asyncio.create_task(self._hear())
                await channel.open.wait()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    async def _hear(self) -> None:
        """Ends when nobody watches or the connection is lost: then every watcher looks again."""
        try:
            with suppress(RedisError, OSError):
                async for message in self._pubsub.listen():
                    self._tell(message)
        finally:
            for channel in self._channels.values():
                channel.settled.set()

    def _tell(self, message: dict[str, Any]) -> None:
        channel = self._channels.get(message["channel"].decode())
        if channel is None or message["type"] == "unsubscribe":
            return
        if message["type"] == "message" or channel.open.is_set():
            # Subscribed once more means reconnected: an ending may have been missed.
            channel.settled.set()
        channel.open.set()
