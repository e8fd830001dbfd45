"""One execution, from the reservation to its stored answer.

Each runs in its own task, kept until the answer is stored: a client that goes
away cancels nothing. The record in the store says who may send; this file
sends only on `Reserved`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple, assert_never

import msgspec

from gateway import problems
from gateway.effects import Effect
from gateway.egress.client import Egress
from gateway.execution import telemetry
from gateway.execution.audit_entries import ending, not_sent
from gateway.execution.documents import RunDocument, outcome_document, run_answer, stored_effect
from gateway.execution.retries import Chores
from gateway.outcomes import Answered, Forbidden, NoResponse, NotSent, Outcome, verdict
from gateway.telemetry.metrics import runs_in_flight
from gateway.telemetry.spans import span
from stores.redis.limits import Limited, Quota
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import (
    Claimed,
    Expired,
    Lost,
    Reservation,
    Reserved,
    Run,
    Settled,
    Taken,
)
from stores.redis.runs import Runs
from stores.redis.scripts import StoreUnavailable

# The lease is the deadline of the send and this: room to store the answer.
LEASE_MARGIN = timedelta(seconds=5)

log = logging.getLogger("relay.execution")


class Execution(NamedTuple):
    """`expires_at_ms`: until when retries get this answer; None while it is not stored yet."""

    document: bytes
    run_id: str
    replayed: bool
    expires_at_ms: int | None


Answer = Execution | Taken | NoPreview | Spent | Expired | Limited
Heard = Callable[[Quota | None], None]


class Executions:
    def __init__(self, *, runs: Runs, egress: Egress, action_timeout: timedelta) -> None:
        self._runs = runs
        self._egress = egress
        self._timeout = action_timeout
        self._tasks: dict[str, asyncio.Task[Answer]] = {}
        self._chores = Chores()

    async def start(self, claim: Reservation, *, heard: Heard = lambda quota: None) -> Answer:
        """Reserve and, if that is granted, send and settle: all of it, whoever stops waiting.

        `heard`: told at once what is left of the quota.

        Raises TargetUnreachable and TargetForbidden, both with nothing sent,
        and the store's StoreUnavailable.
        """
        task = asyncio.create_task(self._execute(claim, heard))
        self._tasks[claim.run_id] = task
        task.add_done_callback(lambda done: self._forget(claim.run_id, done))
        return await asyncio.shield(task)

    def in_flight(self, run_id: str) -> asyncio.Task[Answer] | None:
        """The task of a run of this process."""
        return self._tasks.get(run_id)

    async def drain(self, patience: timedelta) -> None:
        """Wait until what runs here has ended and is stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                while tasks := {*self._tasks.values(), *self._chores.tasks}:
                    await asyncio.wait(tasks)

    def _forget(self, run_id: str, task: asyncio.Task[Answer]) -> None:
        del self._tasks[run_id]
        if not task.cancelled():
            task.exception()  # its client may be gone: then nobody else asks for it

    async def _execute(self, claim: Reservation, heard: Heard) -> Answer:
        deadline = time.monotonic() + self._timeout.total_seconds()
        answer = await self._reserve(claim, deadline)
        heard(answer.quota)
        if not isinstance(answer, Reserved):
            return answer
        with runs_in_flight.track_inprogress():
            return await self._perform(claim, answer, deadline)

    async def _reserve(self, claim: Reservation, deadline: float) -> Claimed:
        with span("reserve"):
            try:
                answer = await self._runs.reserve(claim, lease=self._timeout + LEASE_MARGIN)
            except StoreUnavailable:
                told = not_sent(claim, "store_unavailable")
                # The reply was lost, the reservation perhaps not: nothing is sent on it.
                self._chores.later(lambda: self._runs.release(claim, ending=told), deadline)
                telemetry.reserved(None)
                raise
            telemetry.reserved(answer)
            return answer

    async def _perform(self, claim: Reservation, reserved: Reserved, deadline: float) -> Execution:
        effect, origin = stored_effect(reserved.preview)
        started = time.monotonic()
        outcome = await self._send(effect, claim, deadline)
        seconds = time.monotonic() - started
        try:
            document = partial(
                outcome_document,
                claim=claim,
                origin=origin,
                started_at_ms=reserved.started_at_ms,
                duration_ms=round(seconds * 1000),
            )
            return await self._conclude(claim, outcome, deadline, document)
        finally:  # behind the record: nothing that is only told may stand before it
            telemetry.ended(claim, origin, verdict(outcome), seconds)

    async def _conclude(
        self,
        claim: Reservation,
        outcome: Outcome,
        deadline: float,
        document: Callable[[Answered | NoResponse], RunDocument],
    ) -> Execution:
        match outcome:
            case NotSent(detail):
                unreachable = problems.TargetUnreachable(detail, safe_to_retry=True)
                return await self._release(claim, deadline, unreachable)
            case Forbidden(detail):
                forbidden = problems.TargetForbidden(detail, safe_to_retry=True)
                return await self._release(claim, deadline, forbidden)
            case Answered() | NoResponse():
                return await self._settle(claim, document(outcome), deadline)
        assert_never(outcome)

    async def _send(self, effect: Effect, claim: Reservation, deadline: float) -> Outcome:
        try:
            return await self._egress.send(
                effect, workspace=claim.workspace, run_id=claim.run_id, deadline=deadline
            )
        except Exception:
            # Whatever it was, bytes may be out: the run must not look unspent.
            log.exception("egress.failed", extra={"facts": {"run_id": claim.run_id}})
            return NoResponse("Relay failed while it was sending.")

    async def _settle(self, claim: Reservation, run: RunDocument, deadline: float) -> Execution:
        document, told = msgspec.json.encode(run), ending(claim, run)

        async def settle() -> Settled | Lost:
            return await self._runs.settle(claim, state=run.status, doc=document, ending=told)

        with span("settle"):
            settled = await self._chores.insist(settle, deadline + LEASE_MARGIN.total_seconds())
        match settled:
            case Settled(expires_at_ms):
                return Execution(document, claim.run_id, False, expires_at_ms)
            case Lost():
                with suppress(StoreUnavailable):
                    document = await self._recorded(claim) or document
        # Without a record for now: the caller gets the truth, a retry waits for the record.
        return Execution(document, claim.run_id, False, None)

    async def _release(
        self, claim: Reservation, deadline: float, refusal: problems.Problem
    ) -> Execution:
        """Give the run back and raise the refusal. A run whose lease is over is not given back:
        its caller gets what the record says, as every retry does. Raises StoreUnavailable.
        """
        told = not_sent(claim, problems.code(type(refusal)))
        with span("release"):
            released = await self._chores.insist(
                lambda: self._runs.release(claim, ending=told), deadline
            )
        if isinstance(released, Lost) and (document := await self._recorded(claim)):
            return Execution(document, claim.run_id, False, None)
        raise refusal

    async def _recorded(self, claim: Reservation) -> bytes | None:
        """The answer of a run that was not ours to end. Raises StoreUnavailable."""
        log.warning("run.lost", extra={"facts": {"run_id": claim.run_id}})
        recorded = await self._runs.inspect(claim.workspace, claim.run_id)
        return run_answer(recorded) if isinstance(recorded, Run) else None
