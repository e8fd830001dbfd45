"""One execution: what it sends, what it stores, and what it does when the store is away."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.egress.breaker import FAILURES
from gateway.execution.runner import ExecuteResult, Runner
from gateway.outcomes import NoResponse, NotSent, Outcome, TargetRefused
from gateway.problem import Problem
from gateway.problems import TargetForbidden, TargetSuspended, TargetUnreachable
from stores.redis import names
from stores.redis.client import Store
from stores.redis.outbox import Outbox
from stores.redis.previews import Live, NoPreview, Previews
from stores.redis.reservations import NoRun, Reservation, Run
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
    runner,
    scripted,
)

TIMEOUT, LEASE = timedelta(seconds=15), timedelta(seconds=20)


def executing(runs: Runs, egress: Scripted, timeout: timedelta = TIMEOUT) -> Runner:
    return Runner(
        runs=runs,
        egress=egress,
        credentials=credentials(),
        action_timeout=timeout,
        approvals=unasked(runs._scripts),
    )


@pytest.fixture
async def preview_id(store: Store) -> str:
    made = await engine(store, scripted()).preview(ASKING, "webhook.save", params("http://a.de/"))
    return str(msgspec.json.decode(made.document)["preview_id"])


@pytest.fixture
def reservation(preview_id: str) -> Callable[[str], Reservation]:
    return lambda run_id: Reservation("w", "order-1", preview_id, run_id)


async def stored(store: Store, run_id: str) -> Any:
    """The document of a run."""
    run = await Runs(store.scripts).inspect("w", run_id)
    assert isinstance(run, Run)
    assert run.doc is not None
    return msgspec.json.decode(run.doc)


async def executed(started: Any) -> ExecuteResult:
    answer = await started
    assert isinstance(answer, ExecuteResult)
    return answer


async def test_a_send_has_its_deadline_and_a_run_its_lease(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """ACTION_TIMEOUT from the start for all of the send, 5 s more for all of the run."""
    egress = Scripted(SUCCESS)
    before = time.monotonic()
    started = asyncio.create_task(executing(Runs(store.scripts), egress).run(reservation("run-1")))
    await egress.begun.wait()
    begun = time.monotonic()
    record = await Runs(store.scripts).inspect("w", "run-1")
    egress.gate.set()
    await started

    assert before <= egress.deadlines[0] - TIMEOUT.total_seconds() <= begun
    assert isinstance(record, Run)
    assert LEASE - timedelta(seconds=1) < record.lease_left <= LEASE


async def test_a_fault_in_egress_is_unknown(
    store: Store, reservation: Callable[[str], Reservation], caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes may be out: the run is stored as unknown, never given back, and the log says why."""
    egress = scripted(RuntimeError("surprise"))
    answer = await executed(runner(store, egress).run(reservation("run-1")))

    run = msgspec.json.decode(answer.document)
    assert (run["status"], run["error"]["code"]) == ("unknown", "no_response")
    assert run["error"]["safe_to_retry"] is False
    assert await stored(store, "run-1") == run
    assert [record.exc_info is not None for record in caplog.records] == [True]
    retry = await runner(store, egress).run(reservation("run-2"))
    assert not isinstance(retry, ExecuteResult)
    assert len(egress.sent) == 1


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [(NotSent("No."), TargetUnreachable), (TargetRefused("No."), TargetForbidden)],
)
async def test_nothing_sent_is_given_back(
    store: Store,
    reservation: Callable[[str], Reservation],
    outcome: Outcome,
    problem: type[Problem],
) -> None:
    """Key and preview are as before, also when the store is away just then."""
    runs, egress = FlakyRuns(store, release=1), scripted(outcome, SUCCESS)
    executes = executing(runs, egress)
    with pytest.raises(problem, match="No") as raised:
        await executes.run(reservation("run-1"))
    assert raised.value.safe_to_retry is True
    await executes.drain(LEASE)

    assert runs.calls["release"] == 2
    assert isinstance(await runs.inspect("w", "run-1"), NoRun)
    answer = await executed(executes.run(reservation("run-2")))
    assert msgspec.json.decode(answer.document)["status"] == "success"


async def test_a_target_that_was_suspended_meanwhile_is_the_reason(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """Since the reservation, other runs have found that it cannot be connected to."""
    egress = scripted()
    for _ in range(FAILURES):
        egress.breaker.record("w", "a.de:80", NotSent("No."))
    with pytest.raises(TargetSuspended):
        await runner(store, egress).run(reservation("run-1"))
    entry = (await Outbox(store.scripts).collect("w", limit=10)).entries[-1][1]
    assert (entry.status, entry.reason) == ("not_sent", "target_suspended")
    assert egress.sent == []


async def test_a_reservation_whose_reply_was_lost_sends_nothing(
    store: Store, reservation: Callable[[str], Reservation], preview_id: str
) -> None:
    """Redis made it and the reply was lost: it is given back behind the caller's error."""
    runs, egress = FlakyRuns(store, reserve=1), scripted(SUCCESS)
    executes = executing(runs, egress)
    with pytest.raises(RedisUnavailable):
        await executes.run(reservation("run-1"))
    assert egress.sent == []
    await executes.drain(LEASE)

    assert isinstance(await Previews(store.scripts).find("w", preview_id), Live)
    answer = await executed(executes.run(reservation("run-2")))
    assert (answer.run_id, len(egress.sent)) == ("run-2", 1)


async def test_an_answer_is_stored_when_the_store_is_back(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """The caller gets it at once and without an expiry; draining waits until it is stored."""
    runs = FlakyRuns(store, settle=2)
    executes = executing(runs, scripted(SUCCESS))
    answer = await executed(executes.run(reservation("run-1")))

    assert (answer.expires_at_ms, runs.calls["settle"]) == (None, 1)
    await executes.drain(LEASE)
    assert runs.calls["settle"] == 3
    assert await stored(store, "run-1") == msgspec.json.decode(answer.document)


async def test_the_answer_to_a_run_that_was_forgotten_is_the_truth(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """There is no record to say otherwise: no expiry is promised."""
    egress = Scripted(SUCCESS)
    executes = runner(store, egress)
    started = asyncio.create_task(executes.run(reservation("run-1")))
    await egress.begun.wait()
    await store.client.delete(names.run("w", "run-1"))
    egress.gate.set()
    answer = await executed(started)

    assert msgspec.json.decode(answer.document)["status"] == "success"
    assert answer.expires_at_ms is None


async def test_a_caller_that_stops_waiting_stops_no_run(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """A cancelled caller's run is in flight until it is stored."""
    egress = Scripted(NoResponse("Late."))
    executes = runner(store, egress)
    caller = asyncio.create_task(executes.run(reservation("run-1")))
    await egress.begun.wait()
    caller.cancel()
    await asyncio.wait({caller})
    assert executes.in_flight("run-1")

    egress.gate.set()
    await executes.drain(LEASE)

    assert (await stored(store, "run-1"))["error"]["detail"] == "Late."
    assert executes.in_flight("run-1") is None


async def test_draining_waits_no_longer_than_it_may(
    store: Store, reservation: Callable[[str], Reservation]
) -> None:
    """A gateway that stops does not wait for ever."""
    egress = Scripted(SUCCESS)
    executes = runner(store, egress)
    caller = asyncio.create_task(executes.run(reservation("run-1")))
    await egress.begun.wait()

    async with asyncio.timeout(5):
        await executes.drain(timedelta(0))
    assert not caller.done()

    egress.gate.set()
    await caller


async def test_draining_nothing_is_done_at_once(store: Store) -> None:
    """Also where nothing ever ran."""
    async with asyncio.timeout(1):
        await runner(store, scripted()).drain(LEASE)


async def test_an_answer_of_the_store_is_handed_on(store: Store) -> None:
    """What is not reserved is not sent."""
    egress = scripted(SUCCESS)
    answer = await runner(store, egress).run(Reservation("w", "k", "never-was", "run-1"))

    assert isinstance(answer, NoPreview)
    assert egress.sent == []
