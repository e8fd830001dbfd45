"""The heart: a preview is prepared and kept; an execution spends it, once per key."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple, assert_never
from uuid import uuid4

from msgspec import Raw

from gateway import problems
from gateway.access.principal import Principal
from gateway.actions.action import Action, Actions, BadParams
from gateway.effects import Effect
from gateway.egress.client import Egress
from gateway.execution import refusals, telemetry
from gateway.execution.audit_entries import run_intended
from gateway.execution.documents import origin, preview_document, run_answer
from gateway.execution.runner import Answer, ExecuteResult, Runner
from gateway.outcomes import TargetRefused
from gateway.telemetry.spans import annotate, current
from stores.redis.limits import Limited
from stores.redis.previews import Live, NoPreview, Previews, Spent
from stores.redis.reservations import Expired, KeyTaken, NoRun, Reservation, Run
from stores.redis.run_endings import RunEndings
from stores.redis.runs import Runs


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
        run_endings: RunEndings,
        runner: Runner,
    ) -> None:
        self.actions = actions
        self._egress = egress
        self._previews = previews
        self._runs = runs
        self._run_endings = run_endings
        self._runner = runner

    async def preview(self, principal: Principal, name: str, params: Raw) -> Previewed:
        """Prepare, inspect and keep. Raises UnknownAction, ProviderNotConfigured,
        InvalidParams, RateLimited, TargetForbidden, and the store's StoreUnavailable.
        """
        action = self._action(name)
        effect = _effect(action, params)
        await self._spend(principal)
        verdict = await self._egress.inspect(effect, principal.workspace)
        if isinstance(verdict, TargetRefused):
            raise problems.TargetForbidden(verdict.detail)
        preview_id = str(uuid4())
        document, origin = preview_document(preview_id, action, params, effect, verdict)
        expires_at_ms = await self._previews.save(
            principal.workspace, preview_id, document, origin=origin, target=effect.target
        )
        annotate(preview_id=preview_id, action=name)
        return Previewed(document, expires_at_ms)

    async def _spend(self, principal: Principal) -> None:
        """Before any name is asked for: a preview must not be a way to flood a name server."""
        if not any(principal.previews):
            return
        answer = await self._previews.limits.spend(
            principal.workspace, principal.id, "preview", principal.previews
        )
        principal.quota = answer.quota
        if isinstance(answer, Limited):
            raise refusals.limited(answer)

    def _action(self, name: str) -> Action[Any]:
        if name not in self.actions:
            known = ", ".join(self.actions)
            raise problems.UnknownAction(f"The actions are: {known}.")
        action = self.actions[name]
        if not action.enabled:
            raise problems.ProviderNotConfigured(f"{action.provider} has no credentials here.")
        return action

    async def find_preview(self, principal: Principal, preview_id: str) -> Previewed:
        """Raises PreviewNotFound, PreviewAlreadyExecuted, and StoreUnavailable."""
        match await self._previews.find(principal.workspace, preview_id):
            case Live(document, expires_at_ms):
                annotate(preview_id=preview_id)
                return Previewed(document, expires_at_ms)
            case Spent(run_id=run_id):
                raise refusals.already_executed(run_id)
            case NoPreview():
                raise refusals.no_preview()

    async def find_run(self, principal: Principal, run_id: str) -> bytes:
        """The document of the run as it is now. Raises RunNotFound, and StoreUnavailable."""
        match await self._runs.inspect(principal.workspace, run_id):
            case Run() as run:
                annotate(run_id=run.id, preview_id=run.preview_id)
                return run_answer(run)
            case NoRun():
                raise problems.RunNotFound("There is no run of this id, or it is forgotten.")

    async def execute(
        self, principal: Principal, preview_id: str, *, key: str | None, wait: timedelta
    ) -> ExecuteResult:
        """Execute the preview, or answer with the run that the key has already.

        `wait`: how long to wait for a run of this key that is in flight.
        Without a key the preview's id is the key. Raises PreviewNotFound,
        PreviewAlreadyExecuted, RunInProgress, RunExpired, IdempotencyKeyReused,
        RateLimited, TargetForbidden, TargetUnreachable, and StoreUnavailable.
        """
        until = time.monotonic() + wait.total_seconds()
        while True:
            reservation = _reservation(principal, key or preview_id, preview_id)
            answer = await self._runner.start(reservation, heard=principal.heard)
            if not (isinstance(answer, KeyTaken) and answer.in_flight):
                return _execute_result(answer)
            if not await self._ended(principal.workspace, answer.run, until):
                raise refusals.in_progress(answer.run)

    async def _ended(self, workspace: str, run: Run, until: float) -> bool:
        """Wait for a run in flight; whether it has ended, or its lease has."""
        left = until - time.monotonic()
        if left <= 0:
            return False
        if task := self._runner.in_flight(run.id):
            done, _ = await asyncio.wait({task}, timeout=left)
            return bool(done)
        async with self._run_endings.wait_for(workspace, run.id) as ended:
            now = await self._runs.inspect(workspace, run.id)
            if not (isinstance(now, Run) and now.in_flight):
                return True
            lease_left = now.lease_left.total_seconds()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), min(left, lease_left))
                return True
        return lease_left < left


def _reservation(principal: Principal, key: str, preview_id: str) -> Reservation:
    request, run_id = current(), str(uuid4())
    link = request.trace.link or ""
    return Reservation(
        workspace=principal.workspace,
        key=key,
        preview_id=preview_id,
        run_id=run_id,
        traceparent=request.traceparent,
        trace_link=link,
        intent=run_intended(principal, key, preview_id, run_id, link),
        principal=principal.id,
        rates=principal.executes,
        slots=principal.slots,
    )


def _effect(action: Action[Any], params: Raw) -> Effect:
    try:
        return action.effect(params)
    except BadParams as error:
        field = problems.FieldError(f"/params{error.pointer}", str(error))
        raise problems.InvalidParams(str(error), errors=[field]) from error


def _execute_result(answer: Answer) -> ExecuteResult:
    match answer:
        case ExecuteResult():
            return answer
        case KeyTaken(run=run, other_preview=True):
            raise refusals.other_preview(run)
        case KeyTaken(run=run):
            telemetry.replayed(run, origin(run.origin))
            return ExecuteResult(run_answer(run), run.id, True, run.expires_at_ms)
        case NoPreview():
            raise refusals.no_preview()
        case Spent(run_id=run_id):
            raise refusals.already_executed(run_id)
        case Expired(run_id=run_id):
            raise refusals.expired(run_id)
        case Limited():
            raise refusals.limited(answer)
    assert_never(answer)
