"""One run, from the reservation to its stored answer.

Each run has its own task, kept until the answer is stored: a client that disconnects cancels
nothing. The store decides who may send; this module sends only on `Reserved`. The deadline counts
from before the reservation, so that it ends before the lease by the whole margin, however long
Redis took.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple, assert_never

import msgspec

from gateway import problems
from gateway.effects import Effect
from gateway.egress.client import Egress
from gateway.execution import telemetry
from gateway.execution.audit_entries import run_ended, run_not_sent
from gateway.execution.documents import (
    Origin,
    RunDocument,
    outcome_document,
    run_answer,
    stored_effect,
)
from gateway.execution.retries import NotStoredYet, Retries
from gateway.outcomes import Answered, NoResponse, NotSent, Outcome, TargetRefused, run_status
from gateway.telemetry.metrics import runs_in_flight
from gateway.telemetry.spans import span
from stores.redis.limits import Limited, Quota
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import (
    Expired,
    KeyTaken,
    Lost,
    Reservation,
    Reserved,
    ReserveResult,
    Run,
    Settled,
)
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable

# The lease is the deadline of the send and this margin: time to store the answer.
LEASE_MARGIN = timedelta(seconds=5)

log = logging.getLogger("relay.execution")


class ExecuteResult(NamedTuple):
    """`expires_at_ms`: until when retries get this answer; None while it is not stored."""

    document: bytes
    run_id: str
    replayed: bool
    expires_at_ms: int | None
    quota: Quota | None = None


RunResult = ExecuteResult | KeyTaken | NoPreview | Spent | Expired | Limited


class Runner:
    def __init__(self, *, runs: Runs, egress: Egress, action_timeout: timedelta) -> None:
        self._runs = runs
        self._egress = egress
        self._timeout = action_timeout
        self._tasks: dict[str, asyncio.Task[RunResult]] = {}
        self._retries = Retries()

    async def run(self, reservation: Reservation) -> RunResult:
        """Reserve; if that is granted, send and settle, whether or not the caller still waits.

        Raises TargetUnreachable and TargetForbidden, both with nothing sent and `quota` set, and
        RedisUnavailable.
        """
        task = asyncio.create_task(self._run(reservation))
        self._tasks[reservation.run_id] = task
        task.add_done_callback(lambda done: self._forget(reservation.run_id, done))
        return await asyncio.shield(task)

    def in_flight(self, run_id: str) -> asyncio.Task[RunResult] | None:
        """The task of a run of this process."""
        return self._tasks.get(run_id)

    async def drain(self, patience: timedelta) -> None:
        """Wait until every run of this process has ended and is stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                while tasks := {*self._tasks.values(), *self._retries.tasks}:
                    await asyncio.wait(tasks)

    def _forget(self, run_id: str, task: asyncio.Task[RunResult]) -> None:
        del self._tasks[run_id]
        if not task.cancelled():
            task.exception()  # retrieved here, since the caller may be gone

    async def _run(self, reservation: Reservation) -> RunResult:
        deadline = time.monotonic() + self._timeout.total_seconds()
        answer = await self._reserve(reservation, deadline)
        if not isinstance(answer, Reserved):
            return answer
        with runs_in_flight.track_inprogress():
            try:
                result = await self._perform(reservation, answer, deadline)
            except problems.Problem as problem:
                problem.quota = answer.quota
                raise
        return result._replace(quota=answer.quota)

    async def _reserve(self, reservation: Reservation, deadline: float) -> ReserveResult:
        with span("reserve"):
            try:
                answer = await self._runs.reserve(reservation, lease=self._timeout + LEASE_MARGIN)
            except RedisUnavailable:
                entry = run_not_sent(reservation, "store_unavailable")
                # The reply was lost, the reservation perhaps not: nothing is sent on it.
                self._retries.in_background(
                    lambda: self._runs.release(reservation, ending=entry), deadline
                )
                telemetry.reserved(None)
                raise
            telemetry.reserved(answer)
            return answer

    async def _perform(
        self, reservation: Reservation, reserved: Reserved, deadline: float
    ) -> ExecuteResult:
        effect, origin = stored_effect(reserved.preview)
        started = time.monotonic()
        outcome = await self._send(effect, reservation, deadline)
        seconds = time.monotonic() - started
        try:
            match outcome:
                case NotSent(detail):
                    unreachable = problems.TargetUnreachable(detail, safe_to_retry=True)
                    return await self._release(reservation, deadline, unreachable)
                case TargetRefused(detail):
                    forbidden = problems.TargetForbidden(
                        f"The preview allowed this target, which is refused now: {detail}",
                        safe_to_retry=True,
                    )
                    return await self._release(reservation, deadline, forbidden)
                case Answered() | NoResponse():
                    run = _document(outcome, reservation, reserved, origin, seconds)
                    return await self._settle(reservation, run, deadline)
            assert_never(outcome)
        finally:  # after the result is stored; telemetry must never delay it
            telemetry.ended(reservation, origin, run_status(outcome), seconds)

    async def _send(self, effect: Effect, reservation: Reservation, deadline: float) -> Outcome:
        try:
            return await self._egress.send(
                effect,
                workspace=reservation.workspace,
                run_id=reservation.run_id,
                deadline=deadline,
            )
        except Exception:
            # Bytes may be out, whatever failed: the run must not look unspent.
            log.exception("egress.failed", extra={"fields": {"run_id": reservation.run_id}})
            return NoResponse("Relay failed while it was sending.")

    async def _settle(
        self, reservation: Reservation, run: RunDocument, deadline: float
    ) -> ExecuteResult:
        document, entry = msgspec.json.encode(run), run_ended(reservation, run)

        async def settle() -> Settled | Lost:
            return await self._runs.settle(
                reservation, state=run.status, doc=document, ending=entry
            )

        with span("settle"):
            settled = await self._retries.now_or_later(
                settle, deadline + LEASE_MARGIN.total_seconds()
            )
        match settled:
            case Settled(expires_at_ms):
                return ExecuteResult(document, reservation.run_id, False, expires_at_ms)
            case Lost():
                with suppress(RedisUnavailable):
                    document = await self._recorded(reservation) or document
            case NotStoredYet():  # the caller gets the truth; a retry waits for the record
                pass
            case _ as unforeseen:
                assert_never(unforeseen)
        return ExecuteResult(document, reservation.run_id, False, None)

    async def _release(
        self, reservation: Reservation, deadline: float, refusal: problems.Problem
    ) -> ExecuteResult:
        """Give the run back and raise the refusal. A run whose lease has ended is not given back:
        its caller gets the recorded answer, as every retry does. Raises RedisUnavailable.
        """
        entry = run_not_sent(reservation, problems.code(type(refusal)))
        with span("release"):
            released = await self._retries.now_or_later(
                lambda: self._runs.release(reservation, ending=entry), deadline
            )
        if isinstance(released, Lost) and (document := await self._recorded(reservation)):
            return ExecuteResult(document, reservation.run_id, False, None)
        raise refusal

    async def _recorded(self, reservation: Reservation) -> bytes | None:
        """The answer of a run that was ended elsewhere. Raises RedisUnavailable."""
        log.warning("run.lost", extra={"fields": {"run_id": reservation.run_id}})
        recorded = await self._runs.inspect(reservation.workspace, reservation.run_id)
        return run_answer(recorded) if isinstance(recorded, Run) else None


def _document(
    outcome: Answered | NoResponse,
    reservation: Reservation,
    reserved: Reserved,
    origin: Origin,
    seconds: float,
) -> RunDocument:
    return outcome_document(
        outcome,
        reservation,
        origin,
        started_at_ms=reserved.started_at_ms,
        duration_ms=round(seconds * 1000),
    )
