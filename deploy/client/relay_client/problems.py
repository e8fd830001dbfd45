"""Everything that a call raises, drawn as a tree.

A refusal of the gateway is a Problem; its class follows from its `code`. A code that this client
does not know yet is a plain Problem.

RelayError
    NoAnswer, ForeignAnswer, Declined, RunFailed, RunUnknown, BadSignature
    Problem
        MalformedJson, InvalidRequest, InvalidIdempotencyKey, RequestTimeout, BodyTooLarge
        UnsupportedMediaType
        Unauthenticated
            AssertionRefused
        Forbidden
            PolicyDenied, ApprovalDenied, OwnRequest, NoRole
        NotFound
            PreviewNotFound, RunNotFound, ActionsDisabled
        ApprovalPending, ApprovalOutdated, ApprovalExpired, ApprovalEnded, DigestMismatch
        RunInProgress, PreviewAlreadyExecuted, RunExpired, IdempotencyKeyReused
        UnknownAction, InvalidParams, TargetForbidden, ProviderNotConfigured
        RateLimited, TargetUnreachable, TargetSuspended, StoreUnavailable, NotReady
        IssuerUnavailable
        ReplicaLost, ReplicaSilent, NoReplica
        InternalError
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relay_client.problem_body import ProblemBody

if TYPE_CHECKING:
    from relay_client.documents import Preview, Run


class RelayError(Exception):
    """Whatever this client raises, but for the ValueError of a wrong argument. `retry_after`: how
    many seconds the gateway or its proxy asks to wait.
    """

    retry_after: float | None = None


class NoAnswer(RelayError):
    """No try of a call was answered: the gateway could not be reached, or its answers were lost.

    An execution may have happened. Call `execute` again with the same preview and key: it sends
    nothing twice and returns the run.
    """


class ForeignAnswer(RelayError):
    """What answered is not Relay: a page of a proxy, or a wrong URL. `status`: of the answer."""

    def __init__(self, text: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"The answer {status} does not come from Relay: {text}")
        self.status, self.retry_after = status, retry_after


class Declined(RelayError):
    """The callable `approve` of `act` returned False; nothing was sent. `preview`: of what."""

    def __init__(self, preview: Preview) -> None:
        super().__init__(f"It was not approved: {preview.summary}")
        self.preview = preview


class RunFailed(RelayError):
    """`raise_for_status` of a run that is no success. `run`: that run."""

    def __init__(self, run: Run) -> None:
        why = run.error.detail if run.error else "It has no outcome yet."
        super().__init__(f"The run {run.run_id} is {run.status}: {why}")
        self.run = run


class RunUnknown(RunFailed):
    """`raise_for_status` of a run whose request may have arrived; do not just repeat it."""


class BadSignature(RelayError):
    """A webhook does not come from Relay, or was sent too long ago."""


class Problem(RelayError):
    """A refusal. `code`: what it is, in one word. `safe_to_retry`: None where Relay does not say.
    `approval`: what the preview waits for.
    """

    def __init__(
        self, body: ProblemBody, *, status: int = 0, retry_after: float | None = None
    ) -> None:
        wrong = "".join(f" {error.pointer}: {error.detail}" for error in body.errors)
        named = f" ({body.code}, request {body.request_id})"
        super().__init__(f"{body.detail or body.title}{wrong}{named}")
        self.code, self.status, self.detail = body.code, status, body.detail
        self.request_id, self.run_id = body.request_id, body.run_id
        self.safe_to_retry, self.retry_after = body.safe_to_retry, retry_after
        self.errors, self.approval = tuple(body.errors), body.approval


class MalformedJson(Problem):
    """The body is not JSON."""


class InvalidRequest(Problem):
    """The request has a member or a parameter that Relay does not take."""


class InvalidIdempotencyKey(Problem):
    """The key must be 1 to 255 visible ASCII characters."""


class RequestTimeout(Problem):
    """The request was not complete in time."""


class BodyTooLarge(Problem):
    """A request may have 256 KiB."""


class UnsupportedMediaType(Problem):
    """The body must be JSON."""


class Unauthenticated(Problem):
    """A valid API key is required."""


class AssertionRefused(Unauthenticated):
    """What the proxy in front of the gateway says of the caller is not valid."""


class Forbidden(Problem):
    """The API key may not do that."""


class PolicyDenied(Forbidden):
    """A rule of the policy denies this preview."""


class ApprovalDenied(Forbidden):
    """The preview was denied, cancelled or withdrawn."""


class OwnRequest(Forbidden):
    """The requester of a preview cannot decide on it."""


class NoRole(Forbidden):
    """The caller has no role here."""


class NotFound(Problem):
    """There is nothing by this name."""


class PreviewNotFound(NotFound):
    """The preview has expired or never was."""


class RunNotFound(NotFound):
    """The run has been forgotten or never was."""


class ActionsDisabled(NotFound):
    """Actions are disabled on this gateway."""


class ApprovalPending(Problem):
    """The preview waits for an approval; `approval` says for which. Nothing was sent."""


class ApprovalOutdated(Problem):
    """The approval no longer meets the policy; make a new preview."""


class ApprovalExpired(Problem):
    """No decision came in time, or it was not used in time; make a new preview."""


class ApprovalEnded(Problem):
    """A decision came too late, or contradicts an earlier one."""


class DigestMismatch(Problem):
    """A decision was about other bytes."""


class RunInProgress(Problem):
    """The run of this key has no answer yet; `run_id` names it."""


class PreviewAlreadyExecuted(Problem):
    """The preview was executed with another key; `run_id` names its run."""


class RunExpired(Problem):
    """The preview was executed, and its answer is no longer stored."""


class IdempotencyKeyReused(Problem):
    """The key belongs to another preview; a new action needs a new key."""


class UnknownAction(Problem):
    """The gateway has no such action."""


class InvalidParams(Problem):
    """The params do not fit the action; `errors` names them."""


class TargetForbidden(Problem):
    """The gateway may not send to this target."""


class ProviderNotConfigured(Problem):
    """The gateway has no configuration for the provider of this action."""


class RateLimited(Problem):
    """A limit of the key, the workspace or the target was reached."""


class TargetUnreachable(Problem):
    """The target could not be reached; nothing was sent."""


class TargetSuspended(Problem):
    """The target could not be reached several times in a row; nothing was sent."""


class StoreUnavailable(Problem):
    """Redis or the database of the gateway does not answer."""


class NotReady(Problem):
    """The gateway is starting or stopping."""


class IssuerUnavailable(Problem):
    """The keys of the identity issuer are not known yet."""


class ReplicaLost(Problem):
    """The gateway closed the connection to its proxy."""


class ReplicaSilent(Problem):
    """The gateway did not answer its proxy in time."""


class NoReplica(Problem):
    """No gateway accepts requests from its proxy."""


class InternalError(Problem):
    """The gateway failed to handle the request."""


def code(problem: type[Problem]) -> str:
    """The class name in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", problem.__name__).lower()


def _below(parent: type[Problem]) -> list[type[Problem]]:
    children = parent.__subclasses__()
    return children + [one for child in children for one in _below(child)]


BY_CODE = {code(problem): problem for problem in _below(Problem)}


def problem_of(body: ProblemBody, *, status: int, retry_after: float | None) -> Problem:
    """The refusal in the class of its code."""
    return BY_CODE.get(body.code, Problem)(body, status=status, retry_after=retry_after)
