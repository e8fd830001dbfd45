"""Tell a store that is away what it has to know, in the background and for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from stores.redis.scripts import RedisUnavailable

# Between two tries to tell a store that was away what became of a run.
RETRY_SECONDS = 0.25

T = TypeVar("T")


class Retries:
    """`tasks`: what is still to be told."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    async def now_or_later(self, call: Callable[[], Awaitable[T]], until: float) -> T | None:
        """Call the store; when it is away go on in the background until `until`, and say None."""
        try:
            return await call()
        except RedisUnavailable:
            self.in_background(call, until)
            return None

    def in_background(self, call: Callable[[], Awaitable[Any]], until: float) -> None:
        task = asyncio.create_task(_repeat(call, until))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _repeat(call: Callable[[], Awaitable[Any]], until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(RETRY_SECONDS)
        with suppress(RedisUnavailable):
            await call()
            return
