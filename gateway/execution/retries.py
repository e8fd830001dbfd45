"""Repeat a call to the store in the background until it succeeds or a deadline has passed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from stores import tasks
from stores.redis.scripts import RedisUnavailable

# Between two tries.
RETRY_SECONDS = 0.25

T = TypeVar("T")


class NotStoredYet:
    """The store was unavailable. Until its time is over the call goes on in the background."""


class Retries:
    """`tasks`: the calls in the background."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    async def now_or_later(
        self, call: Callable[[], Awaitable[T]], until: float, later: Callable[[object], None]
    ) -> T | NotStoredYet:
        """Call now; if the store is unavailable, go on in the background. `until`: monotonic.
        `later` gets the answer from the background, which is NotStoredYet once the time is over.
        """
        try:
            return await call()
        except RedisUnavailable:
            self.in_background(call, until, later)
            return NotStoredYet()

    def in_background(
        self,
        call: Callable[[], Awaitable[object]],
        until: float,
        later: Callable[[object], None] = lambda answer: None,
    ) -> None:
        async def repeated() -> None:
            later(await _repeat(call, until))

        task = asyncio.create_task(repeated())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def end(self) -> None:
        """Give up what still repeats: the store is about to close."""
        await tasks.end(self.tasks)


async def _repeat(call: Callable[[], Awaitable[object]], until: float) -> object:
    while time.monotonic() < until:
        await asyncio.sleep(RETRY_SECONDS)
        with suppress(RedisUnavailable):
            return await call()
    return NotStoredYet()
