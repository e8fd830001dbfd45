"""One run, from the reservation to its stored answer.

What was reserved is sent in its own task, kept until the answer is stored: a client that
disconnects cancels nothing. The store decides who may send; this module sends only on `Reserved`.
The deadline counts from before the reservation, so that it ends before the lease by the whole
margin, however long Redis took. After the lease, callers get what the record says.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from gateway import problems
from gateway.approvals.documents import approved_by
from gateway.approvals.inbox import Approvals
from gateway.approvals.policies import Granted, granted
from gateway.connections.credentials import Credentials
from gateway.connections.sending import Sender
from gateway.effects import Effect
from gateway.egress.client import Egress
from gateway.execution import refusals, telemetry
from gateway.execution.audit_entries import run_ended, run_not_sent
from gateway.execution.documents import (
    RunDocument,
    outcome_document,
    run_answer,
    stored_effect,
)
from gateway.execution.retries import NotStoredYet, Retries
from gateway.execution.telemetry import Sent
from gateway.outcomes import Answered, NoResponse, NotSent, Outcome, run_status
from gateway.problem import Problem
from gateway.telemetry.metrics import runs_in_flight
from gateway.telemetry.spans import span
from stores.redis.limits import Limited, Quota
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import (
    Expired,
    KeyTaken,
    Lost,
    NotApproved,
    Released,
    Reservation,
    Reserved,
    ReserveResult,
    Run,
    Settled,
    Suspended,
)
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable

# The lease is the deadline of the send and this margin: time to store the answer.
LEASE_MARGIN = timedelta(seconds=5)

T = TypeVar("T")

log = logging.getLogger("relay.execution")


class ExecuteResult(NamedTuple):
    """`expires_at_ms`: until when retries get this answer; None while it is not stored."""

    document: bytes
    run_id: str
    replayed: bool
    expires_at_ms: int | None
    quota: Quota | None = None


RunResult = (
    ExecuteResult | KeyTaken | NoPreview | NotApproved | Spent | Expired | Suspended | Limited
)


class Runner:
    def __init__(
        self,
        *,
        runs: Runs,
        egress: Egress,
        credentials: Credentials,
        action_timeout: timedelta,
        approvals: Approvals,
    ) -> None:
        self.approvals = approvals
        self.credentials = credentials
        self._sender = Sender(egress, credentials)
        self._runs = runs
        self._egress = egress
        self._timeout = action_timeout
        self._tasks: dict[str, asyncio.Task[ExecuteResult]] = {}
        self._retries = Retries()

    async def run(self, reservation: Reservation) -> RunResult:
        """Reserve; if that is granted, send and settle, whether or not the caller still waits.

        Raises TargetUnreachable and TargetForbidden, both with nothing sent and `quota` set, and
        RedisUnavailable.
        """
        deadline = time.monotonic() + self._timeout.total_seconds()
        answer = await self._reserve(reservation, deadline)
        if not isinstance(answer, Reserved):
            return answer
        task = asyncio.create_task(self._run(reservation, answer, deadline))
        self._tasks[reservation.run_id] = task
        task.add_done_callback(lambda done: self._forget(reservation.run_id, done))
        return await asyncio.shield(task)

    def in_flight(self, run_id: str) -> asyncio.Task[ExecuteResult] | None:
        """The task of a run of this process."""
        return self._tasks.get(run_id)

    async def drain(self, patience: timedelta) -> None:
        """Wait until every run of this process has ended and is stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                while tasks := {*self._tasks.values(), *self._retries.tasks}:
                    await asyncio.wait(tasks)
        await self._retries.end()

    def _forget(self, run_id: str, task: asyncio.Task[ExecuteResult]) -> None:
        del self._tasks[run_id]
        if not task.cancelled():
            task.exception()  # retrieved here, since the caller may be gone

    async def _reserve(self, reservation: Reservation, deadline: float) -> ReserveResult:
        with span("reserve"):
            try:
                answer = await self._runs.reserve(reservation, lease=self._timeout + LEASE_MARGIN)
            except (RedisUnavailable, asyncio.CancelledError) as error:
                entry = run_not_sent(reservation, "store_unavailable")
                # The reply was lost, the reservation perhaps not: nothing is sent on it.
                self._retries.in_background(
                    lambda: self._runs.release(reservation, ending=entry),
                    _lease_end(deadline),
                    partial(telemetry.released, reservation),
                )
                if isinstance(error, RedisUnavailable):
                    telemetry.reserved(None)
                raise
            telemetry.reserved(answer)
            return answer

    async def _run(
        self, reservation: Reservation, reserved: Reserved, deadline: float
    ) -> ExecuteResult:
        with runs_in_flight.track_inprogress():
            try:
                result = await self._perform(reservation, reserved, deadline)
            except Problem as problem:
                problem.quota = reserved.quota
                raise
        return result._replace(quota=reserved.quota)

    async def _perform(
        self, reservation: Reservation, reserved: Reserved, deadline: float
    ) -> ExecuteResult:
        effect, origin = stored_effect(reserved.preview)
        grant = granted(reserved.granted or b"{}")
        asked = (reservation.workspace, origin.action, effect, reserved.by, grant)
        if unmet := self.approvals.policies.unmet(*asked, now_ms=reserved.started_at_ms):
            outdated = NotSent("The approval is outdated.", "approval_outdated")
            sent = Sent(reservation, origin, outdated, 0)
            return await self._outdated(sent, deadline, " ".join(unmet), grant)
        if not self._egress.breaker.admit(reservation.workspace, effect.target):  # a probe is out
            left_alone = NotSent("The target is suspended.", "target_suspended")
            sent = Sent(reservation, origin, left_alone, 0)
            suspended = refusals.suspended(Suspended(effect.target))
            return await self._release(sent, deadline, suspended)
        started = time.monotonic()
        outcome = await self._send(effect, reservation, deadline)
        ended = Sent(reservation, origin, outcome, time.monotonic() - started)
        if not isinstance(outcome, Answered | NoResponse):
            return await self._release(ended, deadline, refusals.not_sent(outcome))
        run = outcome_document(
            outcome,
            reservation,
            origin,
            started_at_ms=reserved.started_at_ms,
            duration_ms=round(ended.seconds * 1000),
        )
        run.approval = approved_by(grant)
        return await self._settle(ended, deadline, run)

    async def _send(self, effect: Effect, reservation: Reservation, deadline: float) -> Outcome:
        try:
            return await self._sender.send(
                effect,
                workspace=reservation.workspace,
                run_id=reservation.run_id,
                deadline=deadline,
            )
        except Exception:
            # Bytes may be out, whatever failed: the run must not look unspent.
            log.exception("egress.failed", extra={"fields": {"run_id": reservation.run_id}})
            return NoResponse("Relay failed while it was sending.")

    async def _settle(self, sent: Sent, deadline: float, run: RunDocument) -> ExecuteResult:
        """Store the answer of the run. Raises RedisUnavailable."""
        document, entry = msgspec.json.encode(run), run_ended(sent.reservation, run)

        def settle() -> Awaitable[Settled | Lost]:
            return self._runs.settle(sent.reservation, state=run.status, doc=document, ending=entry)

        ended = await self._end("settle", settle, sent, deadline)
        expires_at_ms = ended.expires_at_ms if isinstance(ended, Settled) else None
        answer = ExecuteResult(document, run.run_id, False, expires_at_ms)
        return (await self._recorded(sent, ended, deadline)) or answer

    async def _release(self, sent: Sent, deadline: float, refusal: Problem) -> ExecuteResult:
        """Give the run back and raise the refusal. Raises RedisUnavailable."""
        entry = run_not_sent(sent.reservation, problems.code(type(refusal)))

        def release() -> Awaitable[Released | Lost]:
            return self._runs.release(sent.reservation, ending=entry)

        ended = await self._end("release", release, sent, deadline)
        if recorded := await self._recorded(sent, ended, deadline):
            return recorded
        raise refusal

    async def _outdated(
        self, sent: Sent, deadline: float, reasons: str, grant: Granted
    ) -> ExecuteResult:
        """Give the run back, and end the approval, if there is one: it would fail once more."""
        run, approved = sent.reservation, bool(grant.deciders)
        try:
            outdated = refusals.outdated(reasons, run.preview_id, approved=approved)
            return await self._release(sent, deadline, outdated)
        finally:
            if approved:
                await self.approvals.inbox.outdate(run.workspace, run.preview_id, reasons)

    async def _end(
        self, name: str, call: Callable[[], Awaitable[T]], sent: Sent, deadline: float
    ) -> T | NotStoredYet:
        """End the run now, or in the background until its lease ends; then report its outcome."""
        later = partial(telemetry.ended, sent)
        with span(name):
            ended = await self._retries.now_or_later(call, _lease_end(deadline), later)
        if isinstance(ended, NotStoredYet):
            telemetry.annotate_run(sent, run_status(sent.outcome))
        else:  # after the result is stored; telemetry must never delay it
            telemetry.ended(sent, ended)
        return ended

    async def _recorded(
        self, sent: Sent, ended: Settled | Released | Lost | NotStoredYet, deadline: float
    ) -> ExecuteResult | None:
        """What the record says of a run whose lease has ended; retries are answered from it.
        None where the answer is stored, while the lease lasts, and if Redis has lost the record:
        then the caller gets the outcome itself. Raises RedisUnavailable.
        """
        if isinstance(ended, Settled | Released):
            return None
        if isinstance(ended, NotStoredYet) and time.monotonic() < _lease_end(deadline):
            return None
        recorded = await self._runs.inspect(sent.reservation.workspace, sent.reservation.run_id)
        if not isinstance(recorded, Run):
            return None
        return ExecuteResult(run_answer(recorded), recorded.id, False, None)


def _lease_end(deadline: float) -> float:
    """Not after the end by Redis's clock, since the deadline counts from before the reservation."""
    return deadline + LEASE_MARGIN.total_seconds()
