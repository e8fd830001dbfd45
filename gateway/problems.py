"""Every refusal of the HTTP surface, drawn as a tree; rendered as RFC 9457 problem+json.

Problem
    MalformedJson 400
    InvalidRequest 400
    InvalidIdempotencyKey 400
    Unauthenticated 401
    Forbidden 403
    NotFound 404
        PreviewNotFound 404
        RunNotFound 404
        ActionsDisabled 404
    MethodNotAllowed 405
    RunInProgress 409
    PreviewAlreadyExecuted 409
    RunExpired 410
    BodyTooLarge 413
    UnsupportedMediaType 415
    UnknownAction 422
    InvalidParams 422
    TargetForbidden 422
    IdempotencyKeyReused 422
    RateLimited 429
    InternalError 500
    ProviderNotConfigured 501
    TargetUnreachable 502
    StoreUnavailable 503
    NotReady 503
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class FieldError(Struct, frozen=True):
    """`pointer`: where in the request body, as RFC 6901 spells it."""

    pointer: str
    detail: str


class Problem(Exception):
    """A refusal. The message is its `detail`: what is the case, and what to do."""

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] | UnsetType = UNSET,
        run_id: str | UnsetType = UNSET,
        safe_to_retry: bool | UnsetType = UNSET,
        checks: Sequence[Any] | UnsetType = UNSET,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.errors = errors
        self.run_id = run_id
        self.safe_to_retry = safe_to_retry
        self.checks = checks
        self.headers = headers or {}


class MalformedJson(Problem):
    status, title = 400, "The body is not JSON"


class InvalidRequest(Problem):
    status, title = 400, "The request does not have the documented form"


class InvalidIdempotencyKey(Problem):
    status, title = 400, "The Idempotency-Key is not 1 to 255 visible ASCII characters"


class Unauthenticated(Problem):
    status, title = 401, "Relay does not know who asks"


class Forbidden(Problem):
    status, title = 403, "This key may not do that"


class NotFound(Problem):
    status, title = 404, "There is nothing at this path"


class PreviewNotFound(NotFound):
    status, title = 404, "Invalid or expired preview_id"


class RunNotFound(NotFound):
    status, title = 404, "Invalid or forgotten run_id"


class ActionsDisabled(NotFound):
    status, title = 404, "This gateway takes no actions"


class MethodNotAllowed(Problem):
    status, title = 405, "This path does not take that method"


class RunInProgress(Problem):
    status, title = 409, "A run with this key is in progress"


class PreviewAlreadyExecuted(Problem):
    status, title = 409, "The preview has been executed"


class RunExpired(Problem):
    status, title = 410, "The answer of this run is no longer kept"


class BodyTooLarge(Problem):
    status, title = 413, "The body is too large"


class UnsupportedMediaType(Problem):
    status, title = 415, "The body must be sent as application/json"


class UnknownAction(Problem):
    status, title = 422, "There is no action of this name"


class InvalidParams(Problem):
    status, title = 422, "The action does not take these params"


class TargetForbidden(Problem):
    status, title = 422, "The guard refuses this target"


class IdempotencyKeyReused(Problem):
    status, title = 422, "The Idempotency-Key belongs to another preview"


class RateLimited(Problem):
    status, title = 429, "Too many requests, or too many runs at once"


class InternalError(Problem):
    status, title = 500, "Relay failed to answer"


class ProviderNotConfigured(Problem):
    status, title = 501, "The provider of this action is not configured"


class TargetUnreachable(Problem):
    status, title = 502, "The target could not be reached; nothing was sent"


class StoreUnavailable(Problem):
    status, title = 503, "The store does not answer"


class NotReady(Problem):
    status, title = 503, "This gateway should not take traffic"


class ProblemBody(Struct, frozen=True, kw_only=True):
    """RFC 9457, with Relay's own members behind the standard ones."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[FieldError] | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    safe_to_retry: bool | UnsetType = UNSET
    checks: Sequence[Any] | UnsetType = UNSET
    request_id: str


def code(problem: type[Problem]) -> str:
    """The class name in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", problem.__name__).lower()


def render(problem: Problem, request_id: str) -> Response:
    name = code(type(problem))
    body = ProblemBody(
        type=f"/problems/{name}",
        title=problem.title,
        status=problem.status,
        detail=str(problem),
        code=name,
        errors=problem.errors,
        run_id=problem.run_id,
        safe_to_retry=problem.safe_to_retry,
        checks=problem.checks,
        request_id=request_id,
    )
    return Response(msgspec.json.encode(body), problem.status, problem.headers, MEDIA_TYPE)
