"""Every refusal of the HTTP surface, drawn as a tree.

Problem
    MalformedJson 400
    InvalidRequest 400
    InvalidIdempotencyKey 400
    Unauthenticated 401
    Forbidden 403
    NotFound 404
        PreviewNotFound 404
        RunNotFound 404
        KeyNotFound 404
        ActionsDisabled 404
    MethodNotAllowed 405
    RunInProgress 409
    PreviewAlreadyExecuted 409
    KeyOver 409
    LastAdminKept 409
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
    EncryptionNotConfigured 501
    TargetUnreachable 502
    StoreUnavailable 503
    NotReady 503
"""

from gateway.problem import (
    MEDIA_TYPE,
    CheckBody,
    FieldError,
    Problem,
    ProblemBody,
    code,
    render,
)

__all__ = ["MEDIA_TYPE", "CheckBody", "FieldError", "Problem", "ProblemBody", "code", "render"]


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


class KeyNotFound(NotFound):
    status, title = 404, "Invalid or foreign key id"


class ActionsDisabled(NotFound):
    status, title = 404, "This gateway takes no actions"


class MethodNotAllowed(Problem):
    status, title = 405, "This path does not take that method"


class RunInProgress(Problem):
    status, title = 409, "A run with this key is in progress"


class PreviewAlreadyExecuted(Problem):
    status, title = 409, "The preview has been executed"


class KeyOver(Problem):
    status, title = 409, "The key was revoked, has expired or was rotated before"


class LastAdminKept(Problem):
    status, title = 409, "Nobody could manage keys any more"


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


class EncryptionNotConfigured(Problem):
    status, title = 501, "This gateway has no key to keep secrets under"


class TargetUnreachable(Problem):
    status, title = 502, "The target could not be reached; nothing was sent"


class StoreUnavailable(Problem):
    status, title = 503, "The store does not answer"


class NotReady(Problem):
    status, title = 503, "This gateway should not take traffic"
