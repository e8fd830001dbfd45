"""Repeat a call to the store in the background until it succeeds or a deadline has passed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from stores.redis.scripts import RedisUnavailable

# Between two tries.
RETRY_SECONDS = 0.25

T = TypeVar("T")


class NotStoredYet:
    """The store was unavailable; the call goes on in the background."""


class Retries:
    """`tasks`: the calls in the background."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    async def now_or_later(
        self, call: Callable[[], Awaitable[T]], until: float
    ) -> T | NotStoredYet:
        """Call now; if the store is unavailable, go on in the background. `until`: monotonic."""
        try:
            return await call()
        except RedisUnavailable:
            self.in_background(call, until)
            return NotStoredYet()

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
