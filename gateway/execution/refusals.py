"""Translate into problems what the store answers, and what the runner finds after it has reserved:
`outdated`, `suspended` and `not_sent`.
"""

import math
from collections.abc import Mapping
from typing import assert_never

from gateway import problems
from gateway.approvals.documents import approval_needed
from gateway.approvals.inbox import asked_of
from gateway.approvals.policy import Requirement
from gateway.egress.breaker import FAILURES, PAUSE
from gateway.execution import telemetry
from gateway.outcomes import NotSent, TargetRefused
from gateway.problem import Problem
from gateway.timestamps import timestamp
from stores.approvals import State
from stores.audit_entries import RELAY
from stores.redis.approvals import Approval
from stores.redis.limits import Limited
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import Expired, KeyTaken, NotApproved, Suspended

# Seconds. A run usually lasts milliseconds, so that it has ended at the next try.
RETRY_AFTER = "1"

LIMITS = {
    "key": "This API key has reached its rate limit.",
    "workspace": "The keys of this workspace have reached their common rate limit.",
    "runs": "This workspace has reached its limit of concurrent runs.",
    "target": "This workspace has reached its limit of concurrent runs for this target.",
}


# NotApproved is none of them: `not_approved` needs the approval too.
Refused = KeyTaken | NoPreview | Spent | Expired | Suspended | Limited

# What became of an approval.
NOT_APPROVED: Mapping[State, str] = {
    "denied": "An approver denied this preview.",
    "cancelled": "This preview was given up before it was decided.",
    "withdrawn": "The approval of this preview was withdrawn.",
    "outdated": "The policy or the approvers have changed since this preview was approved.",
    "expired": "No decision came in time.",
    "unused": "The approval of this preview was not used in time.",
}

# Other reasons of an outcome for which nothing was sent are `target_unreachable`.
NOT_SENT: Mapping[str, type[Problem]] = {
    "connection_outdated": problems.ConnectionOutdated,
    "connection_needs_reauth": problems.ConnectionNeedsReauth,
    "connection_unavailable": problems.ConnectionUnavailable,
}


def refusal(answer: Refused) -> Problem:
    problem = _problem(answer)
    problem.quota = answer.quota
    return problem


def _problem(answer: Refused) -> Problem:
    match answer:
        case KeyTaken(run=run, other_preview=True):
            detail = "This Idempotency-Key has executed another preview; use a new key."
            return problems.IdempotencyKeyReused(detail, run_id=run.id)
        case KeyTaken(run=run):
            return problems.RunInProgress(
                "The run of this Idempotency-Key has no answer yet; try again, or see the run.",
                run_id=run.id,
                headers={"Retry-After": RETRY_AFTER, "Location": f"/runs/{run.id}"},
            )
        case NoPreview():
            return problems.PreviewNotFound("Invalid or expired preview_id; create a new preview.")
        case Spent(run_id=run_id):
            return problems.PreviewAlreadyExecuted(
                "This preview belongs to the run of another Idempotency-Key; see that run.",
                run_id=run_id,
                headers={"Location": f"/runs/{run_id}"},
            )
        case Expired(run_id=run_id):
            detail = "This preview was executed; its answer is no longer stored."
            return problems.RunExpired(detail, run_id=run_id)
        case other:
            return _not_now(other)


def _not_now(answer: Suspended | Limited) -> Problem:
    match answer:
        case Suspended():
            return suspended(answer)
        case Limited():
            return _limited(answer)
    assert_never(answer)


def denied(asked: Requirement) -> Problem:
    rules = ", ".join(repr(rule) for rule in asked.denied_by)
    return problems.PolicyDenied(f"The policy denies this preview by its rule {rules}.")


def not_approved(answer: NotApproved, found: Approval, *, url: str | None) -> Problem:
    """What became of an approval: `answer` when it was to be executed, `found` a moment later.
    `url`: of the page of the approval.
    """
    problem = _not_approved(answer, found, url)
    problem.quota = answer.quota
    return problem


def _not_approved(answer: NotApproved, found: Approval, url: str | None) -> Problem:
    state, location = answer.state, {"Location": f"/approvals/{answer.preview_id}"}
    if state in ("pending", "approved"):  # approved: of `find_preview`, which reads twice
        pending = problems.ApprovalPending(
            f"Nothing was sent. A decision is due by {timestamp(answer.decide_by_ms)}; "
            "execute again with the same Idempotency-Key.",
            headers={"Retry-After": "5", **location},
        )
        asked = asked_of(found).requirement
        pending.approval = approval_needed(asked, state, answer.decide_by_ms, url=url)
        return pending
    detail = f"{NOT_APPROVED[state]}{_by_whom(found)} Make a new preview."
    if state in ("expired", "unused"):
        return problems.ApprovalExpired(detail, headers=location)
    if state == "outdated":
        return problems.ApprovalOutdated(detail, headers=location)
    return problems.ApprovalDenied(detail, headers=location)


def _by_whom(found: Approval) -> str:
    """A sentence of its own, for the first one is what the audit counts refusals by."""
    for decider in found.deciders:
        if decider.decision == "deny":
            reason = f' with the reason "{decider.reason}"' if decider.reason else ""
            return f" It was {decider.subject}{reason}."
    return f" It was {found.ended_by}." if found.ended_by not in ("", RELAY) else ""


def outdated(reasons: str, preview_id: str, *, approved: bool) -> Problem:
    """`approved`: there is an approval, which ends."""
    headers = {"Location": f"/approvals/{preview_id}"} if approved else {}
    return problems.ApprovalOutdated(f"{reasons} Make a new preview.", headers=headers)


def not_sent(outcome: NotSent | TargetRefused) -> Problem:
    if isinstance(outcome, NotSent):
        return NOT_SENT.get(outcome.reason, problems.TargetUnreachable)(outcome.detail)
    return problems.TargetForbidden(
        f"The preview allowed this target, which is refused now: {outcome.detail}",
        safe_to_retry=True,
    )


def suspended(answer: Suspended) -> Problem:
    return problems.TargetSuspended(
        f"{answer.target} could not be connected to {FAILURES} times in a row. Nothing was sent; "
        f"try again in {PAUSE:.0f} s.",
        headers={"Retry-After": f"{PAUSE:.0f}"},
    )


def _limited(limited: Limited) -> Problem:
    telemetry.limited(limited.bound)
    seconds = max(1, math.ceil(limited.retry_in.total_seconds()))
    return problems.RateLimited(
        f"{LIMITS[limited.bound]} Nothing was sent; try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
