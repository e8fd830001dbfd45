"""What each route takes and gives, for the OpenAPI document."""

from collections.abc import Sequence

from msgspec import Struct

from gateway import problems
from gateway.api import listings
from gateway.execution.documents import PreviewBody, RunBody
from gateway.http import requests
from gateway.http.queries import AuditQuery, RunsQuery
from gateway.problems import Problem


class Operation(Struct, frozen=True, kw_only=True):
    """What a method of a path takes and gives. `response`: None where it is not JSON of ours.

    `status`: of what is done. `query`: its fields are the parameters.
    """

    summary: str
    request: type[Struct] | None = None
    query: type[Struct] | None = None
    response: type[Struct] | None = None
    status: int = 200
    problems: Sequence[type[Problem]] = ()
    headers: Sequence[str] = ()


_BODY = (
    problems.MalformedJson,
    problems.InvalidRequest,
    problems.BodyTooLarge,
    problems.UnsupportedMediaType,
)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/actions/preview"): Operation(
        summary="Prepare an action: the exact request, a summary, warnings",
        request=requests.PreviewRequest,
        response=PreviewBody,
        problems=(
            *_BODY,
            problems.ActionsDisabled,
            problems.RateLimited,
            problems.UnknownAction,
            problems.InvalidParams,
            problems.TargetForbidden,
            problems.ProviderNotConfigured,
            problems.StoreUnavailable,
        ),
    ),
    ("POST", "/actions/execute"): Operation(
        summary="Send a preview, at most once per key; a retry gets the same run",
        request=requests.ExecuteRequest,
        response=RunBody,
        problems=(
            *_BODY,
            problems.ActionsDisabled,
            problems.RateLimited,
            problems.InvalidIdempotencyKey,
            problems.PreviewNotFound,
            problems.RunInProgress,
            problems.PreviewAlreadyExecuted,
            problems.RunExpired,
            problems.TargetForbidden,
            problems.IdempotencyKeyReused,
            problems.TargetUnreachable,
            problems.StoreUnavailable,
        ),
        headers=("Idempotency-Key", "Prefer"),
    ),
    ("GET", "/actions"): Operation(
        summary="The actions, and the JSON Schema of what each takes",
        response=requests.ActionsBody,
        problems=(problems.ActionsDisabled,),
    ),
    ("GET", "/previews/{preview_id}"): Operation(
        summary="A preview that can still be executed",
        response=PreviewBody,
        problems=(
            problems.PreviewNotFound,
            problems.PreviewAlreadyExecuted,
            problems.StoreUnavailable,
        ),
    ),
    ("GET", "/runs/{run_id}"): Operation(
        summary="A run as it is now",
        response=RunBody,
        problems=(problems.RunNotFound, problems.StoreUnavailable),
    ),
    ("GET", "/runs"): Operation(
        summary="The runs of the workspace, newest first",
        query=RunsQuery,
        response=listings.RunsBody,
        problems=(problems.InvalidRequest, problems.StoreUnavailable),
    ),
    ("GET", "/audit"): Operation(
        summary="The audit of the workspace, newest first; who reads it stands in it, too",
        query=AuditQuery,
        response=listings.AuditBody,
        problems=(problems.InvalidRequest, problems.StoreUnavailable),
    ),
    ("GET", "/keys"): Operation(
        summary="All API keys that were ever made, newest first; not what they are",
        response=listings.KeysBody,
        problems=(problems.StoreUnavailable,),
    ),
    ("POST", "/keys"): Operation(
        summary="Make an API key; it is shown this once",
        request=listings.CreateKeyRequest,
        response=listings.NewKeyBody,
        status=201,
        problems=(*_BODY, problems.StoreUnavailable),
    ),
    ("DELETE", "/keys/{key_id}"): Operation(
        summary="End an API key for good",
        response=listings.KeyBody,
        problems=(problems.KeyNotFound, problems.LastAdminKept, problems.StoreUnavailable),
    ),
    ("POST", "/keys/{key_id}/rotate"): Operation(
        summary="Make another API key like this one, which ends after the overlap",
        request=listings.RotateKeyRequest,
        response=listings.NewKeyBody,
        status=201,
        problems=(*_BODY, problems.KeyNotFound, problems.KeyOver, problems.StoreUnavailable),
    ),
    ("GET", "/secrets"): Operation(
        summary="The signing secrets of the workspace, newest first; not what they are",
        response=listings.SecretsBody,
        problems=(problems.StoreUnavailable,),
    ),
    ("POST", "/secrets"): Operation(
        summary="Make a signing secret, shown this once; those before it sign for 24 h more",
        request=listings.CreateSecretRequest,
        response=listings.NewSecretBody,
        status=201,
        problems=(*_BODY, problems.EncryptionNotConfigured, problems.StoreUnavailable),
    ),
    ("GET", "/health"): Operation(
        summary="Whether the process is alive", response=requests.HealthBody
    ),
    ("GET", "/ready"): Operation(
        summary="Whether this gateway may take traffic, and why not",
        response=requests.ReadyBody,
        problems=(problems.NotReady,),
    ),
    ("GET", "/version"): Operation(summary="What runs here", response=requests.VersionBody),
    ("GET", "/metrics"): Operation(summary="Instruments, for Prometheus"),
    ("GET", "/openapi.json"): Operation(summary="This document"),
}
