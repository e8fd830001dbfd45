"""The table of endpoints. Routes, scopes, rate limits, probes and the OpenAPI document derive from
it: a new endpoint is a handler in its resource's module and a row here.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import problems as p
from gateway.api import actions, audit, docs, keys, runs, signing_secrets, system
from gateway.api.endpoint import Endpoint
from gateway.api.state import State
from gateway.execution.documents import PreviewBody, RunBody

_BODY = (p.MalformedJson, p.InvalidRequest, p.BodyTooLarge, p.UnsupportedMediaType)

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/actions/preview",
        handler=actions.preview,
        scope="actions:preview",
        limited="preview",
        operation_id="preview",
        tag="Actions",
        summary="Preview an action: the exact request, a summary and warnings",
        request=actions.PreviewRequest,
        response=PreviewBody,
        problems=(
            *_BODY,
            p.ActionsDisabled,
            p.RateLimited,
            p.UnknownAction,
            p.InvalidParams,
            p.TargetForbidden,
            p.ProviderNotConfigured,
            p.StoreUnavailable,
        ),
    ),
    Endpoint(
        method="POST",
        path="/actions/execute",
        handler=actions.execute,
        scope="actions:execute",
        limited="execute",
        operation_id="execute",
        tag="Actions",
        summary="Execute a preview at most once per Idempotency-Key; retries get the same run",
        request=actions.ExecuteRequest,
        response=RunBody,
        problems=(
            *_BODY,
            p.ActionsDisabled,
            p.RateLimited,
            p.InvalidIdempotencyKey,
            p.PreviewNotFound,
            p.RunInProgress,
            p.PreviewAlreadyExecuted,
            p.RunExpired,
            p.TargetForbidden,
            p.IdempotencyKeyReused,
            p.TargetUnreachable,
            p.StoreUnavailable,
        ),
        headers=("Idempotency-Key", "Prefer"),
        answers=("Location", "Idempotent-Replayed", "Idempotency-Expires"),
    ),
    Endpoint(
        method="GET",
        path="/actions",
        handler=actions.list_actions,
        scope="actions:read",
        operation_id="list_actions",
        tag="Actions",
        summary="List the actions and the JSON Schema of their params",
        response=actions.ActionsBody,
        problems=(p.ActionsDisabled,),
    ),
    Endpoint(
        method="GET",
        path="/previews/{preview_id}",
        handler=actions.find_preview,
        scope="previews:read",
        operation_id="get_preview",
        tag="Actions",
        summary="Show a preview that can still be executed",
        response=PreviewBody,
        problems=(p.PreviewNotFound, p.PreviewAlreadyExecuted, p.StoreUnavailable),
    ),
    Endpoint(
        method="GET",
        path="/runs",
        handler=runs.list_runs,
        scope="runs:read",
        operation_id="list_runs",
        tag="Runs",
        summary="List the runs of the workspace, newest first",
        query=runs.RunsQuery,
        response=runs.RunsBody,
        problems=(p.InvalidRequest, p.StoreUnavailable),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run_id}",
        handler=runs.find_run,
        scope="runs:read",
        operation_id="get_run",
        tag="Runs",
        summary="Show a run as it is now",
        response=RunBody,
        problems=(p.RunNotFound, p.StoreUnavailable),
    ),
    Endpoint(
        method="GET",
        path="/audit",
        handler=audit.list_audit,
        scope="audit:read",
        operation_id="list_audit",
        tag="Audit",
        summary="List the audit of the workspace, newest first; the reading is audited too",
        query=audit.AuditQuery,
        response=audit.AuditBody,
        problems=(p.InvalidRequest, p.StoreUnavailable),
    ),
    Endpoint(
        method="GET",
        path="/keys",
        handler=keys.list_keys,
        scope="keys:manage",
        operation_id="list_keys",
        tag="Keys",
        summary="List all API keys of the workspace, newest first, without their text",
        response=keys.KeysBody,
        problems=(p.StoreUnavailable,),
    ),
    Endpoint(
        method="POST",
        path="/keys",
        handler=keys.create_key,
        scope="keys:manage",
        operation_id="create_key",
        tag="Keys",
        summary="Create an API key; the answer shows it once",
        request=keys.CreateKeyRequest,
        response=keys.NewKeyBody,
        status=201,
        problems=(*_BODY, p.WorkspaceNotFound, p.StoreUnavailable),
    ),
    Endpoint(
        method="DELETE",
        path="/keys/{key_id}",
        handler=keys.revoke_key,
        scope="keys:manage",
        operation_id="revoke_key",
        tag="Keys",
        summary="Revoke an API key",
        response=keys.KeyBody,
        problems=(p.KeyNotFound, p.LastAdminKept, p.StoreUnavailable),
    ),
    Endpoint(
        method="POST",
        path="/keys/{key_id}/rotate",
        handler=keys.rotate_key,
        scope="keys:manage",
        operation_id="rotate_key",
        tag="Keys",
        summary="Replace an API key by one like it; the old one ends after the overlap",
        request=keys.RotateKeyRequest,
        response=keys.NewKeyBody,
        status=201,
        problems=(*_BODY, p.KeyNotFound, p.KeyEnded, p.StoreUnavailable),
    ),
    Endpoint(
        method="GET",
        path="/secrets",
        handler=signing_secrets.list_secrets,
        scope="secrets:manage",
        operation_id="list_secrets",
        tag="Signing secrets",
        summary="List the signing secrets of the workspace, newest first, without their text",
        response=signing_secrets.SecretsBody,
        problems=(p.StoreUnavailable,),
    ),
    Endpoint(
        method="POST",
        path="/secrets",
        handler=signing_secrets.create_secret,
        scope="secrets:manage",
        operation_id="create_secret",
        tag="Signing secrets",
        summary="Create a signing secret, shown once; older ones sign for 24 more hours",
        request=signing_secrets.CreateSecretRequest,
        response=signing_secrets.NewSecretBody,
        status=201,
        problems=(*_BODY, p.EncryptionNotConfigured, p.StoreUnavailable),
    ),
    Endpoint(
        method="GET",
        path="/health",
        handler=system.health,
        scope=None,
        probe=True,
        operation_id="health",
        tag="System",
        summary="Whether the process is alive",
        response=system.HealthBody,
    ),
    Endpoint(
        method="GET",
        path="/ready",
        handler=system.ready,
        scope=None,
        probe=True,
        operation_id="ready",
        tag="System",
        summary="Whether this gateway should take traffic, and why not",
        response=system.ReadyBody,
        problems=(p.NotReady,),
    ),
    Endpoint(
        method="GET",
        path="/version",
        handler=system.version,
        scope=None,
        operation_id="version",
        tag="System",
        summary="The version of this gateway",
        response=system.VersionBody,
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handler=system.read_metrics,
        scope=None,
        probe=True,
        operation_id="metrics",
        tag="System",
        summary="Metrics for Prometheus",
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        handler=system.openapi,
        scope=None,
        operation_id="openapi",
        tag="System",
        summary="This document",
    ),
    Endpoint(
        method="GET",
        path="/docs",
        handler=docs.reference,
        scope=None,
        operation_id="docs",
        tag="System",
        summary="This document as a page",
    ),
    Endpoint(
        method="GET",
        path="/docs/{name}",
        handler=docs.asset,
        scope=None,
        operation_id="docs_file",
        tag="System",
        summary="A file of that page",
    ),
    Endpoint(
        method="GET",
        path="/",
        handler=docs.root,
        scope=None,
        operation_id="root",
        tag="System",
        summary="Redirect a browser to the API reference",
        status=307,
    ),
)

PROBES = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.probe)


def routes(endpoints: tuple[Endpoint, ...]) -> list[Route]:
    """A route for each path; each method is admitted by its endpoint's scope."""
    paths = dict.fromkeys(endpoint.path for endpoint in endpoints)
    return [
        _route(path, {one.method: one for one in endpoints if one.path == path}) for path in paths
    ]


def _route(path: str, endpoints: dict[str, Endpoint]) -> Route:
    async def serve(request: Request[State]) -> Response:
        endpoint = endpoints["GET" if request.method == "HEAD" else request.method]
        if endpoint.scope is not None:
            request.scope["state"]["limited"] = endpoint.limited
            request.state["admission"].admit(request, endpoint.scope)
        return await endpoint.handler(request)

    return Route(path, serve, methods=[*endpoints])
