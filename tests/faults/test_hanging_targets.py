"""Targets that never answer do not slow down other targets."""

import asyncio
import time
from contextlib import AsyncExitStack

from tests.support.gateways import Relay, gateway
from tests.support.target import Target, hang, listening
from tests.support.valkey import Valkey

HANGING, REQUESTS = 200, 300
# A busy machine stops the test itself for this long now and then.
SLACK = 0.03


async def p99(relay: Relay, url: str, label: str) -> float:
    """Seconds, of executions one after the other."""
    took = []
    for number in range(REQUESTS):
        preview_id = await relay.preview_id(url)
        started = time.perf_counter()
        answer = await relay.execute(preview_id, f"{label}-{number}")
        took.append(time.perf_counter() - started)
        assert answer.json()["status"] == "success"
    return sorted(took)[int(REQUESTS * 0.99)]


async def test_two_hundred_hanging_targets_at_most_double_the_p99(
    valkey: Valkey, target: Target
) -> None:
    async with (
        gateway(valkey.url, runs_at_once=1000, runs_at_once_per_target=1000) as relay,
        AsyncExitStack() as stack,
    ):
        hanging = [await stack.enter_async_context(listening()) for _ in range(HANGING)]
        for one in hanging:
            one.answer = hang
        alone = await p99(relay, target.url, "alone")
        previews = [await relay.preview_id(one.url) for one in hanging]
        waiting = [asyncio.create_task(relay.execute(it, it)) for it in previews]
        while sum(one.connections for one in hanging) < HANGING:
            await asyncio.sleep(0.01)
        beside = await p99(relay, target.url, "beside")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert beside <= 2 * alone + SLACK
