"""Background loops go on, whatever their work raises."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from gateway.telemetry.background import in_background, repeat


async def test_an_exception_does_not_end_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with the name of the work, and counted, and the work is done again."""
    before = REGISTRY.get_sample_value("relay_background_failures_total") or 0
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
    assert REGISTRY.get_sample_value("relay_background_failures_total") == before + 2


async def test_what_the_work_awaits_may_be_cancelled() -> None:
    """A future that is shared with others: the loop is not, and goes on."""
    done, rounds = asyncio.Event(), []

    async def work() -> None:
        rounds.append(True)
        if len(rounds) == 1:
            shared = asyncio.get_running_loop().create_future()
            shared.cancel()
            await shared
        done.set()

    async with in_background(repeat(work, lambda: timedelta(0))):
        async with asyncio.timeout(5):
            await done.wait()


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


@pytest.mark.parametrize("first", [True, False])
async def test_a_swallowed_cancellation_ends_a_loop(*, first: bool) -> None:
    """As of a library that catches it; `first`: in what is done before the loop."""
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    async def watch() -> None:
        if first:
            await work()
        await repeat(work, lambda: timedelta(days=started.is_set()))

    async with asyncio.timeout(1), in_background(watch()):
        await started.wait()
