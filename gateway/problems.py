"""Every refusal of the HTTP surface, drawn as a tree (RFC 9457).

A class is a status and a title; its code is its name in snake_case; the message of the exception
is the `detail`: what is the case, and what to do. The command line prints the detail.

Problem
    MalformedJson 400
    InvalidRequest 400
    InvalidIdempotencyKey 400
    Unauthenticated 401
    Forbidden 403
        PolicyDenied 403
        ApprovalDenied 403
        OwnRequest 403
    NotFound 404
        PreviewNotFound 404
        RunNotFound 404
        KeyNotFound 404
        WorkspaceNotFound 404
        ActionsDisabled 404
    MethodNotAllowed 405
    RequestTimeout 408
    RunInProgress 409
    PreviewAlreadyExecuted 409
    KeyEnded 409
    LastAdminKept 409
    WorkspaceExists 409
    ApprovalPending 409
    ApprovalOutdated 409
    ApprovalEnded 409
    DigestMismatch 409
    RunExpired 410
    ApprovalExpired 410
    BodyTooLarge 413
    UnsupportedMediaType 415
    UnknownAction 422
    InvalidParams 422
    TargetForbidden 422
    IdempotencyKeyReused 422
    RateLimited 429
    InternalError 500
    ProviderNotConfigured 501
    EncryptionNotConfigured 501
    UnknownTransferCoding 501
    TargetUnreachable 502
    StoreUnavailable 503
    TargetSuspended 503
    NotReady 503
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType


class FieldError(Struct, frozen=True):
    """`pointer`: the member of the request body (RFC 6901)."""

    pointer: str
    detail: str


class CheckBody(Struct, kw_only=True, frozen=True):
    """One check of /ready."""

    name: str
    verdict: Literal["ok", "warning", "failed"]
    detail: str


class Problem(Exception):
    """A refusal. `headers` go out with it. `quota`: what is left of the caller's limits, where the
    store was asked.
    """

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] | UnsetType = UNSET,
        run_id: str | UnsetType = UNSET,
        safe_to_retry: bool | UnsetType = UNSET,
        checks: Sequence[CheckBody] | UnsetType = UNSET,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.errors = errors
        self.run_id = run_id
        self.safe_to_retry = safe_to_retry
        self.checks = checks
        self.headers = headers or {}
        self.quota: object | None = None


# What `safe_to_retry` means where one gateway cannot know what another one, or this one before it
# was stopped, has sent for the same key.
REPEAT = "Repeat the request with the same Idempotency-Key: one key sends at most once."


def code(problem: type[Problem]) -> str:
    """The class name in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", problem.__name__).lower()


def pointer(*names: str) -> str:
    """The JSON Pointer of a member (RFC 6901)."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def validation_detail(error: msgspec.ValidationError) -> tuple[str, str]:
    """The pointer and the sentence of what msgspec found wrong.

    msgspec does not name the member of an object with free names; the pointer is then the
    object's.
    """
    detail, _, path = str(error).partition(" - at `$")
    steps = re.findall(r"\.([^.\[`]+)|\[(\d+)\]", path.partition("[...]")[0])
    names = [name or index for name, index in steps]
    if missing_or_unknown := re.search(r"(?:unknown|required) field `(.*)`", detail):
        names.append(missing_or_unknown[1])
    # The value itself is not repeated: it may be a secret in the wrong place.
    detail = re.sub(r"^(Invalid enum value) .*", r"\1", detail, flags=re.DOTALL)
    return pointer(*names), f"{detail}."


class MalformedJson(Problem):
    status, title = 400, "The body is not JSON"


class InvalidRequest(Problem):
    status, title = 400, "The request is invalid"


class InvalidIdempotencyKey(Problem):
    status, title = 400, "The Idempotency-Key must be 1 to 255 visible ASCII characters"


class Unauthenticated(Problem):
    status, title = 401, "A valid API key is required"


class Forbidden(Problem):
    status, title = 403, "This API key may not do that"


class PolicyDenied(Forbidden):
    status, title = 403, "A rule of the policy denies this preview"


class ApprovalDenied(Forbidden):
    status, title = 403, "The preview was not approved"


class OwnRequest(Forbidden):
    status, title = 403, "The requester cannot decide"


class NotFound(Problem):
    status, title = 404, "Nothing exists at this path"


class PreviewNotFound(NotFound):
    status, title = 404, "Invalid or expired preview_id"


class RunNotFound(NotFound):
    status, title = 404, "Invalid or expired run_id"


class KeyNotFound(NotFound):
    status, title = 404, "Invalid API key id"


class WorkspaceNotFound(NotFound):
    status, title = 404, "The workspace does not exist"


class ActionsDisabled(NotFound):
    status, title = 404, "Actions are disabled on this gateway"


class MethodNotAllowed(Problem):
    status, title = 405, "This path does not accept that method"


class RequestTimeout(Problem):
    status, title = 408, "The request was not complete in time"


class RunInProgress(Problem):
    status, title = 409, "A run with this Idempotency-Key is in progress"


class PreviewAlreadyExecuted(Problem):
    status, title = 409, "The preview has already been executed"


class KeyEnded(Problem):
    status, title = 409, "The API key was revoked, rotated or has expired"


class LastAdminKept(Problem):
    status, title = 409, "The last key that can manage keys cannot be revoked"


class WorkspaceExists(Problem):
    status, title = 409, "The workspace already exists"


class ApprovalPending(Problem):
    status, title = 409, "The preview waits for an approval"


class ApprovalOutdated(Problem):
    status, title = 409, "The approval no longer meets the policy"


class ApprovalEnded(Problem):
    status, title = 409, "The approval has ended"


class DigestMismatch(Problem):
    status, title = 409, "The decision is about other bytes"


class RunExpired(Problem):
    status, title = 410, "The answer of this run is no longer stored"


class ApprovalExpired(Problem):
    status, title = 410, "The approval has expired"


class BodyTooLarge(Problem):
    status, title = 413, "The body is too large"


class UnsupportedMediaType(Problem):
    status, title = 415, "The body must be application/json"


class UnknownAction(Problem):
    status, title = 422, "Unknown action"


class InvalidParams(Problem):
    status, title = 422, "The params are invalid for this action"


class TargetForbidden(Problem):
    status, title = 422, "The target is not allowed"


class IdempotencyKeyReused(Problem):
    status, title = 422, "The Idempotency-Key belongs to another preview"


class RateLimited(Problem):
    status, title = 429, "A rate or concurrency limit was reached"


class InternalError(Problem):
    status, title = 500, "Relay failed to handle the request"


class ProviderNotConfigured(Problem):
    status, title = 501, "The provider of this action is not configured"


class EncryptionNotConfigured(Problem):
    status, title = 501, "The encryption key for signing secrets is missing"


class UnknownTransferCoding(Problem):
    status, title = 501, "This transfer coding is not implemented"


class TargetUnreachable(Problem):
    status, title = 502, "The target could not be reached; nothing was sent"


class StoreUnavailable(Problem):
    status, title = 503, "A store is unavailable"


class TargetSuspended(Problem):
    status, title = 503, "The target is suspended; nothing was sent"


class NotReady(Problem):
    status, title = 503, "This gateway should not take traffic"
