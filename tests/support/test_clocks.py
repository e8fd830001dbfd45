"""What the tests of promises about time measure with."""

import asyncio
import time

from tests.support.clocks import timed


async def test_waiting_and_working_count() -> None:
    """Also what blocks the event loop, as a fault of ours would."""
    _, waited = await timed(asyncio.sleep(0.2))
    assert waited > 0.1

    async def busy() -> None:
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass

    _, worked = await timed(busy())
    assert worked > 0.1


async def test_what_the_machine_takes_does_not_count() -> None:
    """A thread that holds the interpreter without working stands for it."""

    async def held() -> None:
        await asyncio.sleep(0.05)
        time.sleep(0.5)  # noqa: ASYNC251
        await asyncio.sleep(0.05)

    _, seconds = await timed(held())
    assert seconds < 0.4
