"""Tasks end, also where what they await swallows a cancellation."""

import asyncio

import pytest

from stores import tasks


async def deaf(times: int, swallowed: list[int]) -> None:
    """Swallows so many cancellations."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed.append(times)
    await asyncio.sleep(60)


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_task_ends_however_often_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(tasks, "AGAIN", 0.01)
    swallowed: list[int] = []
    some = [asyncio.create_task(deaf(number, swallowed)) for number in (0, times)]
    await asyncio.sleep(0)  # they have started
    async with asyncio.timeout(5):
        await tasks.end(some)
    assert all(task.cancelled() for task in some)
    assert swallowed == [times] * times


async def test_what_a_task_raised_stays_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> None:
        raise RuntimeError("surprise")

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await tasks.end({task})
    assert isinstance(task.exception(), RuntimeError)
    await tasks.end(())
    del task
    assert not caplog.records
