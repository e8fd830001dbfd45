"""Background loops go on, whatever their work raises."""

import asyncio
import logging
from datetime import timedelta

import pytest

from gateway.background import in_background, repeat


async def test_an_exception_does_not_end_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with the name of the work, and the work is done again."""
    done = asyncio.Event()
    rounds: list[int] = []

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 3:
            raise RuntimeError("surprise")
        done.set()

    async with in_background(repeat(work, lambda: timedelta(0))):
        async with asyncio.timeout(5):
            await done.wait()
    failed = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in failed] == ["background.failed"] * 2
    assert "work" in failed[0].fields["work"]  # type: ignore[attr-defined]


async def test_a_loop_ends_with_its_block() -> None:
    """Also in the midst of its work."""
    started, cancelled = asyncio.Event(), []

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with in_background(repeat(work, lambda: timedelta(0))):
        await started.wait()
    assert cancelled == [True]
