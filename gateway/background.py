"""Background loops: each goes on, whatever its work raises, until it is cancelled."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, NoReturn

log = logging.getLogger("relay.background")


async def repeat(work: Callable[[], Awaitable[object]], pause: Callable[[], timedelta]) -> NoReturn:
    """Pause, work, and so on for ever. An exception of the work is logged."""
    while True:
        await asyncio.sleep(pause().total_seconds())
        try:
            await work()
        except Exception as error:
            fields = {"work": getattr(work, "__qualname__", "?"), "error": type(error).__name__}
            log.warning("background.failed", extra={"fields": fields}, exc_info=True)


@asynccontextmanager
async def in_background(loop: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run the loop while the block lasts."""
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
