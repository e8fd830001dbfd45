"""Translate the store's answers into problems."""

import math
from typing import assert_never

from gateway import problems
from gateway.approvals.policy import Requirement
from gateway.egress.breaker import FAILURES, PAUSE
from gateway.execution import telemetry
from gateway.timestamps import timestamp
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


Refused = KeyTaken | NoPreview | NotApproved | Spent | Expired | Suspended | Limited

# What became of an approval.
NOT_APPROVED = {
    "denied": "An approver denied this preview.",
    "cancelled": "This preview was given up before it was decided.",
    "withdrawn": "The approval of this preview was withdrawn.",
    "outdated": "The policy or the approvers have changed since this preview was approved.",
    "expired": "No decision came in time.",
    "unused": "The approval of this preview was not used in time.",
}


def refusal(answer: Refused) -> problems.Problem:
    problem = _problem(answer)
    problem.quota = answer.quota
    return problem


def _problem(answer: Refused) -> problems.Problem:
    match answer:
        case KeyTaken(run=run, other_preview=True):
            detail = (
                "This Idempotency-Key executed another preview; use a new key for a new action."
            )
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
                "This preview was executed with another Idempotency-Key; see its run.",
                run_id=run_id,
                headers={"Location": f"/runs/{run_id}"},
            )
        case Expired(run_id=run_id):
            detail = "This preview was executed; its answer is no longer stored."
            return problems.RunExpired(detail, run_id=run_id)
        case other:
            return _not_now(other)


def _not_now(answer: NotApproved | Suspended | Limited) -> problems.Problem:
    match answer:
        case NotApproved():
            return _not_approved(answer)
        case Suspended():
            return suspended(answer)
        case Limited():
            return _limited(answer)
    assert_never(answer)


def denied(asked: Requirement) -> problems.Problem:
    rules = ", ".join(repr(rule) for rule in asked.denied_by)
    return problems.PolicyDenied(f"The policy denies this preview by its rule {rules}.")


def _not_approved(answer: NotApproved) -> problems.Problem:
    location = {"Location": f"/approvals/{answer.preview_id}"}
    if answer.state == "pending":
        return problems.ApprovalPending(
            f"Nothing was sent. A decision is due by {timestamp(answer.decide_by_ms)}; "
            "execute again with the same Idempotency-Key.",
            safe_to_retry=True,
            headers={"Retry-After": "5", **location},
        )
    detail = f"{NOT_APPROVED.get(answer.state, 'Nothing is left to execute.')} Make a new preview."
    if answer.state in ("expired", "unused"):
        return problems.ApprovalExpired(detail, headers=location)
    if answer.state == "outdated":
        return problems.ApprovalOutdated(detail, safe_to_retry=False, headers=location)
    return problems.ApprovalDenied(detail, headers=location)


def suspended(answer: Suspended) -> problems.Problem:
    return problems.TargetSuspended(
        f"{answer.target} could not be connected to {FAILURES} times in a row. Nothing was sent; "
        f"try again in {PAUSE:.0f} s.",
        safe_to_retry=True,
        headers={"Retry-After": f"{PAUSE:.0f}"},
    )


def _limited(limited: Limited) -> problems.Problem:
    telemetry.limited(limited.bound)
    seconds = max(1, math.ceil(limited.retry_in.total_seconds()))
    return problems.RateLimited(
        f"{LIMITS[limited.bound]} Nothing was sent; try again in {seconds} s.",
        safe_to_retry=True,
        headers={"Retry-After": str(seconds)},
    )
