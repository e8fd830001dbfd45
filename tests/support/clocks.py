"""How long something takes, less the time in which a busy machine did not run this process."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic, process_time
from typing import TypeVar

T = TypeVar("T")
TICK = 0.01
# A timer of an idle machine is as late.
USUAL = 0.005


async def timed(asked: Awaitable[T]) -> tuple[T, float]:
    """The answer, and the seconds. What blocks the event loop itself is not taken off."""
    kept_waiting = 0.0

    async def tick() -> None:
        nonlocal kept_waiting
        while True:
            began, worked = monotonic(), process_time()
            await asyncio.sleep(TICK)
            late = monotonic() - began - TICK - (process_time() - worked)
            kept_waiting += late if late > USUAL else 0.0

    began, ticking = monotonic(), asyncio.create_task(tick())
    try:
        answer = await asked
        return answer, monotonic() - began - kept_waiting
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
