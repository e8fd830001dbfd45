"""Prepare and store previews; execute each at most once per Idempotency-Key."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec
from msgspec import Raw

from gateway import problems
from gateway.access.principal import Principal
from gateway.actions.action import Actions
from gateway.approvals.inbox import HeldPreview
from gateway.approvals.policies import NOTHING_ASKED, Verdict, facts, requester
from gateway.approvals.policy_file import PreviewFacts
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
from gateway.execution.looking import Seen, look_at
from gateway.execution.preparing import Preparation, Prepared, warnings_of
from gateway.execution.runner import ExecuteResult, Runner
from gateway.execution.waiting import Waiting
from gateway.outcomes import TargetRefused
from gateway.problem import Problem
from gateway.telemetry.ids import new_id
from gateway.telemetry.spans import annotate, current
from stores.redis.limits import UNLIMITED, Limited, Quota, Rates, Usage
from stores.redis.previews import Live, NewPreview, NoPreview, Previews
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
        self._preparation = Preparation(actions, runner.credentials)
        self._previews = previews
        self._runs = runs
        self._runner = runner
        self.waiting = Waiting(runs, run_endings, runner)
        self.policies, self.inbox = runner.approvals

    async def preview(self, principal: Principal, name: str, params: Raw) -> Previewed:
        """Prepare, check the target and store.

        Raises UnknownAction, ProviderNotConfigured, InvalidParams, RateLimited, TargetForbidden,
        PolicyDenied, ConnectionOutdated, ConnectionNeedsReauth, Forbidden and RedisUnavailable.
        """
        prepared = self._preparation.prepare(principal, name, params)
        effect = prepared.effect
        with one_patience():
            # Before a name is resolved, or previews could flood a name server, and before a policy
            # refuses. Otherwise saving the preview spends the quota, in one round trip.
            if self._egress.known(effect) and not self.policies.any_for(principal.workspace):
                return await self._save(principal, prepared, principal.previews)
            quota = await self._spend(principal)
            try:
                made = await self._save(principal, prepared, UNLIMITED)
            except Problem as problem:
                problem.quota = quota
                raise
            return made._replace(quota=quota)

    def facts(self, principal: Principal, name: str, params: Raw) -> PreviewFacts:
        """What a policy may know of such a preview, before its name is resolved.

        Raises UnknownAction, ProviderNotConfigured, InvalidParams, ConnectionOutdated,
        ConnectionNeedsReauth, Forbidden and TargetForbidden.
        """
        effect = self._preparation.prepare(principal, name, params).effect
        self._egress.check_url(effect.url)
        return facts(name, effect, requester(principal, warned=bool(warnings_of(effect))))

    async def _save(self, principal: Principal, prepared: Prepared, rates: Rates) -> Previewed:
        """`rates`: what saving still has to spend."""
        preview_id, action, params, effect = prepared
        workspace = principal.workspace
        warnings = await self._inspected(effect, workspace)
        by = requester(principal, warned=bool(warnings))
        verdict = self.policies.verdict(workspace, action.name, effect, by)
        if verdict.requirement.denied_by:
            raise refusals.denied(verdict.requirement)
        annotate(preview_id=preview_id, action=action.name)
        added = self._egress.added_when_sent(effect, workspace)
        document, origin = preview_document(
            preview_id, action, params, effect, warnings, added_when_sent=added
        )
        if verdict.requirement.needs:
            held = HeldPreview(preview_id, document, origin, by, effect, action.name, warnings)
            decide_by_ms = await self.inbox.hold(principal, held, verdict)
            return Previewed(preview_id, document, effect, decide_by_ms, verdict=verdict)
        new = NewPreview(preview_id, document, origin, msgspec.json.encode(by), effect.slot)
        saved = await self._previews.save(workspace, new, principal.id, rates)
        if isinstance(saved, Limited):
            raise refusals.refusal(saved)
        return Previewed(preview_id, document, effect, saved.expires_at_ms, saved.quota, verdict)

    async def _inspected(self, effect: Effect, workspace: str) -> list[str]:
        """The warnings. Raises TargetForbidden."""
        inspected = await self._egress.inspect(effect, workspace)
        if isinstance(inspected, TargetRefused):
            raise problems.TargetForbidden(inspected.detail)
        return [*warnings_of(effect), *inspected]

    async def _spend(self, principal: Principal) -> Quota | None:
        if not any(principal.previews):
            return None
        answer = await self._previews.limits.spend(
            principal.workspace, principal.id, "preview", principal.previews
        )
        if isinstance(answer, Limited):
            raise refusals.refusal(answer)
        return answer.quota

    async def usage(self, principal: Principal) -> Usage:
        """What the caller's limits have left. Raises RedisUnavailable."""
        return await self._previews.limits.usage(
            principal.workspace, principal.id, principal.previews, principal.executes
        )

    async def find_preview(self, principal: Principal, preview_id: str) -> Previewed:
        """Raises PreviewNotFound, PreviewAlreadyExecuted, what `execute` raises of an approval, and
        RedisUnavailable.
        """
        with one_patience():
            match await self._previews.find(principal.workspace, preview_id):
                case Live(document, expires_at_ms):
                    annotate(preview_id=preview_id)
                    effect, _ = stored_effect(document)
                    return Previewed(preview_id, document, effect, expires_at_ms)
                case NoPreview():
                    raise await self._without_preview(principal, preview_id)
                case spent:
                    raise refusals.refusal(spent)

    async def look_at(self, principal: Principal, preview_id: str) -> Seen | None:
        """What a preview says that can still be executed. Raises RedisUnavailable."""
        with one_patience():
            return await look_at(self._previews, self.inbox, principal.workspace, preview_id)

    async def _without_preview(self, principal: Principal, preview_id: str) -> Problem:
        """Why there is no preview: it may be held, or its approval may have ended."""
        if not (found := await self.inbox.look_for(principal.workspace, preview_id)):
            return refusals.refusal(NoPreview())
        return refusals.not_approved(
            NotApproved(preview_id, found.state, found.decide_by_ms),
            found,
            url=self.inbox.page(preview_id),
        )

    async def find_run(self, principal: Principal, run_id: str) -> bytes:
        """The document of the run as it is now. Raises RunNotFound, and RedisUnavailable."""
        return run_answer(await self.inspect_run(principal, run_id))

    async def inspect_run(self, principal: Principal, run_id: str) -> Run:
        """Raises RunNotFound, and RedisUnavailable."""
        match await self._runs.inspect(principal.workspace, run_id):
            case Run() as run:
                annotate(run_id=run.id, preview_id=run.preview_id)
                return run
            case NoRun():
                raise problems.RunNotFound("There is no run with this id, or it has expired.")

    async def execute(
        self, principal: Principal, preview_id: str, *, key: str | None, wait: timedelta
    ) -> ExecuteResult:
        """Execute the preview, or answer with the run that the key already has.

        `key`: the preview's id unless given. `wait`: how long to wait for a run of this key that
        is in flight. Raises PreviewNotFound, PreviewAlreadyExecuted, RunInProgress, RunExpired,
        IdempotencyKeyReused, RateLimited, TargetForbidden, TargetUnreachable, TargetSuspended,
        ApprovalPending, ApprovalDenied, ApprovalExpired, ApprovalOutdated and RedisUnavailable.
        """
        until = time.monotonic() + wait.total_seconds()
        while True:
            suspended = self._egress.breaker.suspended(principal.workspace)
            signed = self._egress.signs(principal.workspace)
            reservation = _reservation(
                principal, key or preview_id, preview_id, suspended, signed=signed
            )
            answer = await self._runner.run(reservation)
            if isinstance(answer, NotApproved):
                if not await self.waiting.may_be_approved(principal.workspace, answer, until):
                    found = await self.inbox.find(principal, preview_id)
                    raise refusals.not_approved(answer, found, url=self.inbox.page(preview_id))
            elif isinstance(answer, KeyTaken) and answer.in_flight:
                if not await self.waiting.for_run(principal.workspace, answer.run, until):
                    raise refusals.refusal(answer)
            else:
                return _execute_result(answer)


def _reservation(
    principal: Principal, key: str, preview_id: str, suspended: Sequence[str], *, signed: bool
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
        intent=run_intended(principal, key, preview_id, run_id, link=link, signed=signed),
        principal=principal.id,
        rates=principal.executes,
        slots=principal.slots,
        suspended=suspended,
    )


def _execute_result(answer: ExecuteResult | refusals.Refused) -> ExecuteResult:
    match answer:
        case ExecuteResult():
            return answer
        case KeyTaken(run=run, other_preview=False):
            telemetry.replayed(run, origin(run.doc or run.origin))
            document = run_answer(run)
            return ExecuteResult(document, run.id, True, run.expires_at_ms, answer.quota)
        case refused:
            raise refusals.refusal(refused)
