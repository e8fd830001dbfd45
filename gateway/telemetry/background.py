"""Background loops: each goes on, whatever its work raises, until it is cancelled itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NoReturn

from gateway.telemetry import metrics
from stores import tasks

log = logging.getLogger("relay.background")


async def repeat(work: Callable[[], Awaitable[object]], pause: Callable[[], timedelta]) -> NoReturn:
    """Pause, work, and so on for ever. An exception of the work is logged and counted."""
    task = asyncio.current_task()
    while True:
        if task and task.cancelling():  # what was awaited may have swallowed the cancellation
            raise asyncio.CancelledError
        await asyncio.sleep(pause().total_seconds())
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            if task and task.cancelling():
                raise asyncio.CancelledError from error
            # Else only what the work awaited was cancelled.
            metrics.background_failures.inc()
            fields = {"work": getattr(work, "__qualname__", "?"), "error": type(error).__name__}
            log.warning("background.failed", extra={"fields": fields}, exc_info=True)


@asynccontextmanager
async def in_background(loop: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run the loop while the block lasts."""
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        await tasks.end({task})
        if not task.cancelled():
            task.result()
