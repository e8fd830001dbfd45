"""A clock that a test sets, and how long something takes on a machine that does other work."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic, process_time
from typing import TypeVar

T = TypeVar("T")
TICK = 0.01
# A timer of an idle machine is as late.
USUAL = 0.005


class Clock:
    """`now`: seconds, as the test sets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def timed(asked: Awaitable[T]) -> tuple[T, float]:
    """The answer, and the seconds, less those in which the machine did not run this process.

    What blocks the event loop itself is not taken off.
    """
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
