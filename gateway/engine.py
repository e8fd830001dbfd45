"""The heart: a preview is prepared and kept; an execution spends it, once per key."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple, assert_never
from uuid import uuid4

from msgspec import Raw

from gateway import problems
from gateway.actions.action import Action, Actions, BadParams
from gateway.documents import origin, preview_document, run_answer
from gateway.effects import Effect
from gateway.egress import Egress
from gateway.execution import Answer, Execution, Executions
from gateway.outcomes import Forbidden
from gateway.telemetry import runs as telemetry
from gateway.telemetry.spans import current, note
from stores.claims import Expired, NoRun, Reservation, Run, Taken
from stores.previews import Live, NoPreview, Previews, Spent
from stores.runs import Runs
from stores.settled import SettledRuns

# Seconds. A run lasts milliseconds as a rule: who comes back finds it settled.
RETRY_AFTER = "1"


class Previewed(NamedTuple):
    document: bytes
    expires_at_ms: int


class Engine:
    def __init__(
        self,
        *,
        actions: Actions,
        egress: Egress,
        previews: Previews,
        runs: Runs,
        settled: SettledRuns,
        executions: Executions,
    ) -> None:
        self.actions = actions
        self._egress = egress
        self._previews = previews
        self._runs = runs
        self._settled = settled
        self._executions = executions

    async def preview(self, workspace: str, name: str, params: Raw) -> Previewed:
        """Prepare, inspect and keep. Raises UnknownAction, ProviderNotConfigured,
        InvalidParams, TargetForbidden, and the store's StoreUnavailable.
        """
        action = self._action(name)
        effect = _effect(action, params)
        verdict = await self._egress.inspect(effect)
        if isinstance(verdict, Forbidden):
            raise problems.TargetForbidden(verdict.detail)
        preview_id = str(uuid4())
        document, origin = preview_document(preview_id, action, params, effect, verdict)
        expires_at_ms = await self._previews.save(workspace, preview_id, document, origin=origin)
        note(preview_id=preview_id, action=name)
        return Previewed(document, expires_at_ms)

    def _action(self, name: str) -> Action[Any]:
        if name not in self.actions:
            known = ", ".join(self.actions)
            raise problems.UnknownAction(f"The actions are: {known}.")
        action = self.actions[name]
        if not action.enabled:
            raise problems.ProviderNotConfigured(f"{action.provider} has no credentials here.")
        return action

    async def find_preview(self, workspace: str, preview_id: str) -> Previewed:
        """Raises PreviewNotFound, PreviewAlreadyExecuted, and StoreUnavailable."""
        match await self._previews.find(workspace, preview_id):
            case Live(document, expires_at_ms):
                note(preview_id=preview_id)
                return Previewed(document, expires_at_ms)
            case Spent(run_id):
                raise _already_executed(run_id)
            case NoPreview():
                raise _no_preview()

    async def find_run(self, workspace: str, run_id: str) -> bytes:
        """The document of the run as it is now. Raises RunNotFound, and StoreUnavailable."""
        match await self._runs.inspect(workspace, run_id):
            case Run() as run:
                note(run_id=run.id, preview_id=run.preview_id)
                return run_answer(run)
            case NoRun():
                raise problems.RunNotFound("There is no run of this id, or it is forgotten.")

    async def execute(
        self, workspace: str, preview_id: str, *, key: str | None, wait: timedelta
    ) -> Execution:
        """Execute the preview, or answer with the run that the key has already.

        `wait`: how long to wait for a run of this key that is in flight.
        Without a key the preview's id is the key. Raises PreviewNotFound,
        PreviewAlreadyExecuted, RunInProgress, RunExpired, IdempotencyKeyReused,
        TargetForbidden, TargetUnreachable, and StoreUnavailable.
        """
        until = time.monotonic() + wait.total_seconds()
        while True:
            claim = _claim(workspace, key or preview_id, preview_id)
            answer = await self._executions.start(claim)
            if not (isinstance(answer, Taken) and answer.in_flight):
                return _execution(answer)
            if not await self._ended(workspace, answer.run, until):
                raise _in_progress(answer.run)

    async def _ended(self, workspace: str, run: Run, until: float) -> bool:
        """Wait for a run in flight; whether it has ended, or its lease has."""
        left = until - time.monotonic()
        if left <= 0:
            return False
        if task := self._executions.in_flight(run.id):
            done, _ = await asyncio.wait({task}, timeout=left)
            return bool(done)
        async with self._settled.watch(workspace, run.id) as ended:
            now = await self._runs.inspect(workspace, run.id)
            if not (isinstance(now, Run) and now.in_flight):
                return True
            lease_left = now.lease_left.total_seconds()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), min(left, lease_left))
                return True
        return lease_left < left


def _claim(workspace: str, key: str, preview_id: str) -> Reservation:
    asking = current()
    link = asking.trace.link or ""
    return Reservation(workspace, key, preview_id, str(uuid4()), asking.traceparent, link)


def _effect(action: Action[Any], params: Raw) -> Effect:
    try:
        return action.effect(params)
    except BadParams as error:
        field = problems.FieldError(f"/params{error.pointer}", str(error))
        raise problems.InvalidParams(str(error), errors=[field]) from error


def _execution(answer: Answer) -> Execution:
    match answer:
        case Execution():
            return answer
        case Taken(run, reused=True):
            raise _reused(run)
        case Taken(run):
            telemetry.replayed(run, origin(run.origin))
            return Execution(run_answer(run), run.id, True, run.expires_at_ms)
        case NoPreview():
            raise _no_preview()
        case Spent(run_id):
            raise _already_executed(run_id)
        case Expired(run_id):
            raise _expired(run_id)
    assert_never(answer)


def _no_preview() -> problems.Problem:
    return problems.PreviewNotFound("Invalid or expired preview_id; ask for a new preview.")


def _already_executed(run_id: str) -> problems.Problem:
    return problems.PreviewAlreadyExecuted(
        "This preview was executed; see its run.",
        run_id=run_id,
        headers={"Location": f"/runs/{run_id}"},
    )


def _expired(run_id: str) -> problems.Problem:
    return problems.RunExpired("This was executed; its answer is no longer kept.", run_id=run_id)


def _reused(run: Run) -> problems.Problem:
    return problems.IdempotencyKeyReused(
        "This key executed another preview; take a new key for a new action.", run_id=run.id
    )


def _in_progress(run: Run) -> problems.Problem:
    return problems.RunInProgress(
        "The run of this key has no answer yet; ask again, or look at the run.",
        run_id=run.id,
        headers={"Retry-After": RETRY_AFTER, "Location": f"/runs/{run.id}"},
    )
