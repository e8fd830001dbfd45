"""End background tasks for good."""

import asyncio
from collections.abc import Iterable
from typing import Any

# Seconds after which a task that still runs is cancelled again.
AGAIN = 1.0


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks until each has ended; what they raise stays with them.

    Once is not enough: what a task awaits may swallow the cancellation, as asyncio.wait_for of
    Python 3.11 does, with which the Redis client writes (CPython's issue 86296).
    """
    every = set(tasks)
    running = every
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN)
    for task in every:
        if not task.cancelled():
            task.exception()  # or asyncio would report that it was not looked at
