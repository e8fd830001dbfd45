"""Every refusal of the HTTP surface, drawn as a tree (RFC 9457).

A class is a status and a title; its code is its name in snake_case; the message of the exception
is the `detail`: what is the case, and what to do. The command line prints the detail.

Problem
    MalformedJson, InvalidRequest, InvalidIdempotencyKey 400
    Unauthenticated 401
        AssertionRefused 401
    Forbidden 403
        PolicyDenied, ApprovalDenied, OwnRequest, CrossSite, NoRole 403
    NotFound 404
        PreviewNotFound, RunNotFound, KeyNotFound, WorkspaceNotFound, ChannelNotFound 404
        ConnectionNotFound, PolicyVersionNotFound, ActionsDisabled 404
    MethodNotAllowed 405
    RequestTimeout 408
    RunInProgress, PreviewAlreadyExecuted 409
    ApprovalPending, ApprovalOutdated, ApprovalEnded, DigestMismatch 409
    ConnectionOutdated, ConnectionNeedsReauth 409
    KeyEnded, LastAdminKept, WorkspaceExists, ChannelExists, ConnectionExists 409
    RunExpired, ApprovalExpired 410
    PolicyChanged 412
    BodyTooLarge 413
    UnsupportedMediaType 415
    UnknownAction, InvalidParams, TargetForbidden, IdempotencyKeyReused, PolicyRefused 422
    PreconditionRequired 428
    RateLimited 429
    InternalError 500
    ProviderNotConfigured, EncryptionNotConfigured, UnknownTransferCoding 501
    TargetUnreachable 502
    StoreUnavailable, TargetSuspended, ConnectionUnavailable, IssuerUnavailable 503
    ReceiptNotReady, NotReady 503
"""

import re

from gateway.problem import Problem

# What `safe_to_retry` means where one gateway cannot know what another one, or this one before it
# was stopped, has sent for the same key.
REPEAT = "Repeat the request with the same Idempotency-Key: one key sends at most once."


def code(problem: type[Problem]) -> str:
    """The class name in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", problem.__name__).lower()


class MalformedJson(Problem):
    status, title = 400, "The body is not JSON"


class InvalidRequest(Problem):
    status, title = 400, "The request is invalid"


class InvalidIdempotencyKey(Problem):
    status, title = 400, "The Idempotency-Key must be 1 to 255 visible ASCII characters"


class Unauthenticated(Problem):
    status, title = 401, "A valid API key is required"


class AssertionRefused(Unauthenticated):
    status, title = 401, "What the proxy says of the caller is not valid"


class Forbidden(Problem):
    status, title = 403, "This API key may not do that"


class PolicyDenied(Forbidden):
    status, title = 403, "A rule of the policy denies this preview"


class ApprovalDenied(Forbidden):
    status, title = 403, "The preview was not approved"


class OwnRequest(Forbidden):
    status, title = 403, "The requester cannot decide"


class CrossSite(Forbidden):
    status, title = 403, "A page of another site may not change anything"


class NoRole(Forbidden):
    status, title = 403, "The caller has no role here"


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


class ChannelNotFound(NotFound):
    status, title = 404, "Invalid channel id"


class ConnectionNotFound(NotFound):
    status, title = 404, "Invalid connection id"


class PolicyVersionNotFound(NotFound):
    status, title = 404, "The policy has no such version"


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


class ChannelExists(Problem):
    status, title = 409, "The channel already exists"


class ConnectionExists(Problem):
    status, title = 409, "The connection exists already"


class ApprovalPending(Problem):
    status, title, safe_to_retry = 409, "The preview waits for an approval", True


class ApprovalOutdated(Problem):
    status, title, safe_to_retry = 409, "The preview does not meet the policy any more", False


class ApprovalEnded(Problem):
    status, title = 409, "The approval has ended"


class DigestMismatch(Problem):
    status, title = 409, "The decision is about other bytes"


class PolicyChanged(Problem):
    status, title = 412, "The policy was changed meanwhile"


class PreconditionRequired(Problem):
    status, title = 428, "The change needs an If-Match"


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


class PolicyRefused(Problem):
    status, title = 422, "The policy cannot be used"


class RateLimited(Problem):
    status, title, safe_to_retry = 429, "A rate or concurrency limit was reached", True


class InternalError(Problem):
    status, title = 500, "Relay failed to handle the request"


class ProviderNotConfigured(Problem):
    status, title = 501, "The provider of this action is not configured"


class EncryptionNotConfigured(Problem):
    status, title = 501, "The encryption key for signing secrets is missing"


class UnknownTransferCoding(Problem):
    status, title = 501, "This transfer coding is not implemented"


class TargetUnreachable(Problem):
    status, title, safe_to_retry = 502, "The target could not be reached; nothing was sent", True


class StoreUnavailable(Problem):
    status, title, safe_to_retry = 503, "A store is unavailable", True


class TargetSuspended(Problem):
    status, title, safe_to_retry = 503, "The target is suspended; nothing was sent", True


class ConnectionOutdated(Problem):
    status, title = 409, "The connection is not as it was approved; nothing was sent"
    safe_to_retry = True


class ConnectionNeedsReauth(Problem):
    status, title = 409, "The account has to be connected again; nothing was sent"
    safe_to_retry = True


class ConnectionUnavailable(Problem):
    status, title = 503, "The connection cannot be used at the moment; nothing was sent"
    safe_to_retry = True


class IssuerUnavailable(Problem):
    status, title = 503, "The keys of the identity issuer are not known yet"


class ReceiptNotReady(Problem):
    status, title = 503, "The receipt is not ready"


class NotReady(Problem):
    status, title = 503, "This gateway should not take traffic"
