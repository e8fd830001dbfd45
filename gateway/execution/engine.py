"""Prepare and store previews; execute each at most once per Idempotency-Key."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from gateway import problems
from gateway.access.principal import Principal
from gateway.actions.action import Action, Actions, BadParams
from gateway.approvals.inbox import HeldPreview
from gateway.approvals.policies import NOTHING_ASKED, Verdict, requester
from gateway.effects import Effect
from gateway.egress.client import Egress
from gateway.execution import refusals, telemetry
from gateway.execution.audit_entries import run_intended
from gateway.execution.documents import (
    origin,
    preview_document,
    run_answer,
    stored_effect,
)
from gateway.execution.runner import ExecuteResult, Runner, RunResult
from gateway.ids import new_id
from gateway.outcomes import TargetRefused
from gateway.telemetry.spans import annotate, current
from stores.redis.limits import Limited, Quota
from stores.redis.previews import Live, Previews
from stores.redis.reservations import KeyTaken, NoRun, NotApproved, Reservation, Run
from stores.redis.run_endings import RunEndings
from stores.redis.runs import Runs
from stores.redis.scripts import one_patience


class Previewed(NamedTuple):
    """`verdict`: what has to happen before the preview can be executed."""

    preview_id: str
    document: bytes
    effect: Effect
    expires_at_ms: int
    quota: Quota | None = None
    verdict: Verdict = NOTHING_ASKED


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
        self._policies, self.inbox = runner.approvals

    async def preview(self, principal: Principal, name: str, params: Raw) -> Previewed:
        """Prepare, check the target and store.

        Raises UnknownAction, ProviderNotConfigured, InvalidParams, RateLimited, TargetForbidden,
        PolicyDenied and RedisUnavailable.
        """
        action = self._action(name)
        effect = _effect(action, params)
        with one_patience():
            quota = await self._spend(principal)
            try:
                return (await self._save(principal, action, params, effect))._replace(quota=quota)
            except problems.Problem as problem:
                problem.quota = quota
                raise

    async def _save(
        self, principal: Principal, action: Action[Any], params: Raw, effect: Effect
    ) -> Previewed:
        warnings = await self._egress.inspect(effect, principal.workspace)
        if isinstance(warnings, TargetRefused):
            raise problems.TargetForbidden(warnings.detail)
        by = requester(principal, warned=bool(effect.warnings or warnings))
        verdict = self._policies.verdict(principal.workspace, action.name, effect, by)
        if verdict.requirement.denied_by:
            raise refusals.denied(verdict.requirement)
        preview_id = new_id()
        added = self._egress.added_when_sent(effect, principal.workspace)
        document, origin = preview_document(
            preview_id, action, params, effect, warnings, added_when_sent=added
        )
        annotate(preview_id=preview_id, action=action.name)
        if verdict.requirement.needs:
            held = HeldPreview(preview_id, document, origin, by, effect)
            expires_at_ms = await self.inbox.hold(principal, held, verdict)
        else:
            expires_at_ms = await self._previews.save(
                principal.workspace,
                preview_id,
                document,
                origin=origin,
                by=msgspec.json.encode(by),
                target=effect.target,
            )
        return Previewed(preview_id, document, effect, expires_at_ms, verdict=verdict)

    async def _spend(self, principal: Principal) -> Quota | None:
        """Spend the quota before any name is resolved, or previews could flood a name server."""
        if not any(principal.previews):
            return None
        answer = await self._previews.limits.spend(
            principal.workspace, principal.id, "preview", principal.previews
        )
        if isinstance(answer, Limited):
            raise refusals.refusal(answer)
        return answer.quota

    def _action(self, name: str) -> Action[Any]:
        if name not in self.actions:
            known = ", ".join(self.actions)
            raise problems.UnknownAction(f"The action is one of: {known}.")
        action = self.actions[name]
        if not action.enabled:
            raise problems.ProviderNotConfigured(
                f"The provider {action.provider} is not configured."
            )
        return action

    async def find_preview(self, principal: Principal, preview_id: str) -> Previewed:
        """Raises PreviewNotFound, PreviewAlreadyExecuted, and RedisUnavailable."""
        match await self._previews.find(principal.workspace, preview_id):
            case Live(document, expires_at_ms):
                annotate(preview_id=preview_id)
                effect, _ = stored_effect(document)
                return Previewed(preview_id, document, effect, expires_at_ms)
            case refused:
                raise refusals.refusal(refused)

    async def find_run(self, principal: Principal, run_id: str) -> bytes:
        """The document of the run as it is now. Raises RunNotFound, and RedisUnavailable."""
        match await self._runs.inspect(principal.workspace, run_id):
            case Run() as run:
                annotate(run_id=run.id, preview_id=run.preview_id)
                return run_answer(run)
            case NoRun():
                raise problems.RunNotFound("There is no run with this id, or it has expired.")

    async def execute(
        self, principal: Principal, preview_id: str, *, key: str | None, wait: timedelta
    ) -> ExecuteResult:
        """Execute the preview, or answer with the run that the key already has.

        `key`: the preview's id unless given. `wait`: how long to wait for a run of this key that
        is in flight. Raises PreviewNotFound, PreviewAlreadyExecuted, RunInProgress, RunExpired,
        IdempotencyKeyReused, RateLimited, TargetForbidden, TargetUnreachable and RedisUnavailable.
        """
        until = time.monotonic() + wait.total_seconds()
        while True:
            suspended = self._egress.breaker.suspended(principal.workspace)
            reservation = _reservation(principal, key or preview_id, preview_id, suspended)
            answer = await self._runner.run(reservation)
            if isinstance(answer, NotApproved) and answer.state == "pending":
                left = timedelta(seconds=until - time.monotonic())
                if not await self.wait_for_decision(principal.workspace, preview_id, left):
                    raise refusals.refusal(answer)
            elif isinstance(answer, KeyTaken) and answer.in_flight:
                if not await self._ended(principal.workspace, answer.run, until):
                    raise refusals.refusal(answer)
            else:
                return _execute_result(answer)

    async def wait_for_decision(self, workspace: str, preview_id: str, wait: timedelta) -> bool:
        """Wait for the decision on a held preview; whether there may be one now.

        Raises RedisUnavailable.
        """
        if wait <= timedelta():
            return False
        async with self._run_endings.wait_for(workspace, preview_id) as decided:
            if await self.inbox.state(workspace, preview_id) != "pending":
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(decided.wait(), wait.total_seconds())
                return True
        return False

    async def _ended(self, workspace: str, run: Run, until: float) -> bool:
        """Wait for a run in flight; whether it has ended, or its lease has. `until`: monotonic."""
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
            # The subscription may be deaf, and the lease may have ended.
            now = await self._runs.inspect(workspace, run.id)
            return not (isinstance(now, Run) and now.in_flight)


def _reservation(
    principal: Principal, key: str, preview_id: str, suspended: Sequence[str]
) -> Reservation:
    request, run_id = current(), new_id()
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
        suspended=suspended,
    )


def _effect(action: Action[Any], params: Raw) -> Effect:
    try:
        return action.effect(params)
    except BadParams as error:
        field = problems.FieldError(f"/params{error.pointer}", str(error))
        raise problems.InvalidParams(str(error), errors=[field]) from error


def _execute_result(answer: RunResult) -> ExecuteResult:
    match answer:
        case ExecuteResult():
            return answer
        case KeyTaken(run=run, other_preview=False):
            telemetry.replayed(run, origin(run.origin))
            document = run_answer(run)
            return ExecuteResult(document, run.id, True, run.expires_at_ms, answer.quota)
        case refused:
            raise refusals.refusal(refused)
