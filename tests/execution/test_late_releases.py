"""A run whose lease ended before it was sent is not given back, and its caller hears so."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from gateway.outcomes import NotSent, Outcome, TargetRefused
from stores.redis import names
from stores.redis.client import Store
from stores.redis.reservations import KeyTaken, Reservation
from stores.redis.scripts import RedisUnavailable
from tests.execution.test_runner import executed, executing
from tests.support.engines import ASKING, FlakyRuns, Scripted, engine, params, runner, scripted


@pytest.fixture
async def reservation(store: Store) -> Callable[[str], Reservation]:
    made = await engine(store, scripted()).preview(ASKING, "webhook.save", params("http://a.de/"))
    preview_id = msgspec.json.decode(made.document)["preview_id"]
    return lambda run_id: Reservation("w", "order-1", preview_id, run_id)


@pytest.mark.parametrize("outcome", [NotSent("No."), TargetRefused("No.")])
async def test_a_run_whose_lease_is_over_is_not_given_back(
    store: Store, reservation: Callable[[str], Reservation], outcome: Outcome
) -> None:
    """Its caller hears what the record says, as every retry does: interrupted, and unknown."""
    egress = Scripted(outcome)
    executes = runner(store, egress)
    started = asyncio.create_task(executes.run(reservation("run-1")))
    await egress.begun.wait()
    await store.client.hset(names.run("w", "run-1"), "lease_until", 1)
    egress.gate.set()
    answer = await executed(started)

    assert msgspec.json.decode(answer.document)["error"]["code"] == "interrupted"
    retry = await executes.run(reservation("run-2"))
    assert isinstance(retry, KeyTaken)
    assert (retry.run.id, retry.run.interrupted, len(egress.sent)) == ("run-1", True, 1)


async def test_a_late_release_that_cannot_be_looked_up_is_no_success(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """The record is there and the store is away just then: the caller asks again."""
    egress = Scripted(NotSent("No."))
    executes = executing(FlakyRuns(store, inspect=1), egress)
    started = asyncio.create_task(executes.run(reservation("run-1")))
    await egress.begun.wait()
    await store.client.hset(names.run("w", "run-1"), "lease_until", 1)
    egress.gate.set()
    with pytest.raises(RedisUnavailable):
        await started
