"""After the lease of a run, callers and telemetry say what the record says."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.execution.runner import LEASE_MARGIN, Runner
from gateway.outcomes import NotSent, Outcome
from gateway.problems import TargetUnreachable
from gateway.telemetry.spans import Span, Trace
from stores.redis import names
from stores.redis.client import Store
from stores.redis.previews import Live, Previews
from stores.redis.reservations import KeyTaken, NoRun, Reservation
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable
from tests.support.approvals import unasked
from tests.support.credentials import credentials
from tests.support.engines import (
    ASKING,
    SUCCESS,
    FlakyRuns,
    Scripted,
    engine,
    params,
    scripted,
)
from tests.support.observed import Lines

# A run with this timeout has a lease of no length: it is over at once.
NO_LEASE = -LEASE_MARGIN
DRAINED = timedelta(seconds=20)


@pytest.fixture
async def reservation(store: Store) -> Callable[[str], Reservation]:
    made = await engine(store, scripted()).preview(ASKING, "webhook.save", params("http://a.de/"))
    preview_id = msgspec.json.decode(made.document)["preview_id"]
    return lambda run_id: Reservation("w", "order-1", preview_id, run_id)


def executing(runs: Runs, egress: Scripted, timeout: timedelta) -> Runner:
    return Runner(
        runs=runs,
        egress=egress,
        credentials=credentials(),
        action_timeout=timeout,
        approvals=unasked(runs._scripts),
    )


async def traced(executes: Runner, reservation: Reservation) -> tuple[Any, Trace]:
    """Execute inside a counted request; its answer or refusal, and its trace."""
    with Span(Trace("r-1", counted=True), "x") as request:
        [answer] = await asyncio.gather(executes.run(reservation), return_exceptions=True)
    return answer, request.trace


@pytest.mark.parametrize("outcome", [SUCCESS, NotSent("No.")])
@pytest.mark.parametrize("away", [0, 1])
async def test_after_the_lease_the_caller_gets_the_record(
    store: Store,
    reservation: Callable[[str], Reservation],
    lines: Lines,
    outcome: Outcome,
    away: int,
) -> None:
    """A gateway that was stopped is late. Also if Redis is away when it would store the outcome.
    Count and line agree with the record.
    """
    runs = FlakyRuns(store, settle=away, release=away)
    executes = executing(runs, scripted(outcome), NO_LEASE)
    answer, trace = await traced(executes, reservation("run-1"))
    await executes.drain(DRAINED)

    run = msgspec.json.decode(answer.document)
    assert (run["status"], run["error"]["code"]) == ("unknown", "interrupted")
    assert answer.expires_at_ms is None
    retry = await executes.run(reservation("run-2"))
    assert isinstance(retry, KeyTaken)
    assert retry.run.interrupted
    [line] = lines.of("run.ended")
    assert (line["outcome"], line["reason"]) == ("unknown", "interrupted")
    assert [lost["run_id"] for lost in lines.of("run.lost")] == ["run-1"]
    assert trace.fields["outcome"] == "unknown"


@pytest.mark.parametrize("outcome", [SUCCESS, NotSent("No.")])
async def test_a_record_that_cannot_be_read_is_not_guessed(
    store: Store, reservation: Callable[[str], Reservation], outcome: Outcome
) -> None:
    """The caller of a late run asks again with the same key."""
    executes = executing(FlakyRuns(store, inspect=1), scripted(outcome), NO_LEASE)
    with pytest.raises(RedisUnavailable):
        await executes.run(reservation("run-1"))


async def test_within_the_lease_the_caller_gets_the_outcome_at_once(
    store: Store, reservation: Callable[[str], Reservation], lines: Lines
) -> None:
    """Redis is away just then: the run is counted and logged once its record is stored."""
    executes = executing(FlakyRuns(store, settle=1), scripted(SUCCESS), timedelta(0))
    answer, trace = await traced(executes, reservation("run-1"))
    assert msgspec.json.decode(answer.document)["status"] == "success"
    assert trace.fields["outcome"] == "success"
    assert lines.of("run.ended") == []
    await executes.drain(DRAINED)
    assert [line["outcome"] for line in lines.of("run.ended")] == ["success"]


async def test_a_release_is_insisted_on_until_the_lease_ends(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """The deadline of the send is over, the lease is not: the run is given back."""
    runs = FlakyRuns(store, release=1)
    executes = executing(runs, scripted(NotSent("No.")), timedelta(0))
    with pytest.raises(TargetUnreachable):
        await executes.run(reservation("run-1"))
    await executes.drain(DRAINED)
    assert isinstance(await runs.inspect("w", "run-1"), NoRun)


@pytest.mark.parametrize(("timeout", "releases"), [(timedelta(0), 1), (NO_LEASE, 0)])
async def test_a_call_is_not_repeated_beyond_the_lease(
    store: Store, reservation: Callable[[str], Reservation], timeout: timedelta, releases: int
) -> None:
    """The record then tells the truth by itself: its lease is over."""
    runs = FlakyRuns(store, reserve=1)
    executes = executing(runs, scripted(), timeout)
    with pytest.raises(RedisUnavailable):
        await executes.run(reservation("run-1"))
    await executes.drain(DRAINED)
    assert runs.calls["release"] == releases


@pytest.mark.parametrize("lost", ["reserve", "release"])
async def test_a_run_that_cannot_be_given_back_is_logged(
    store: Store, reservation: Callable[[str], Reservation], lines: Lines, lost: str
) -> None:
    """Its caller got the answer that nothing was sent, and its record says `unknown`."""

    class Interrupted(FlakyRuns):
        async def release(self, reservation: Reservation, *, ending: bytes = b"{}") -> Any:
            if self.calls["release"] or lost == "reserve":
                await store.client.hset(names.run("w", "run-1"), "lease_until", 1)
            return await super().release(reservation, ending=ending)

    executes = executing(
        Interrupted(store, **{lost: 1}), scripted(NotSent("No.")), timedelta(seconds=15)
    )
    await traced(executes, reservation("run-1"))
    await executes.drain(DRAINED)
    assert [line["run_id"] for line in lines.of("run.lost")] == ["run-1"]
    outcomes = [line["outcome"] for line in lines.of("run.ended")]
    assert outcomes == (["unknown"] if lost == "release" else [])


async def test_a_caller_that_is_cancelled_while_it_reserves_leaves_no_run(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """A gateway that stops cancels requests: what may have been reserved is given back."""
    reserved = asyncio.Event()

    class Hanging(FlakyRuns):
        async def reserve(self, reservation: Reservation, *, lease: timedelta) -> Any:
            await super().reserve(reservation, lease=lease)
            reserved.set()
            await asyncio.Event().wait()

    egress = scripted(SUCCESS)
    executes = executing(Hanging(store), egress, timedelta(seconds=15))
    caller = asyncio.create_task(executes.run(reservation("run-1")))
    await reserved.wait()
    caller.cancel()
    await asyncio.wait({caller})
    await executes.drain(DRAINED)

    assert (caller.cancelled(), egress.sent) == (True, [])
    found = await Previews(store.scripts).find("w", reservation("x").preview_id)
    assert isinstance(found, Live)
