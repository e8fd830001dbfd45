"""The OpenAPI document, made from the same Structs that decode and encode."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from gateway import problems, wire
from gateway.documents import PreviewBody, RunBody
from gateway.problems import Problem
from gateway.version import VERSION


class Operation(Struct, frozen=True, kw_only=True):
    """What a method of a path takes and gives. `response`: None where it is not JSON of ours."""

    summary: str
    request: type[Struct] | None = None
    response: type[Struct] | None = None
    problems: Sequence[type[Problem]] = ()
    headers: Sequence[str] = ()


DESCRIPTION = (
    "Preview, execute at most once, replay. Every refusal is application/problem+json (RFC 9457) "
    "with a `code`; beside those of an operation there are not_found and method_not_allowed. "
    "Every response carries X-Request-ID and, where its trace is kept and links are set up, "
    "X-Trace-Link."
)

_BODY = (
    problems.MalformedJson,
    problems.InvalidRequest,
    problems.ActionsDisabled,
    problems.BodyTooLarge,
    problems.UnsupportedMediaType,
)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/actions/preview"): Operation(
        summary="Prepare an action: the exact request, a summary, warnings",
        request=wire.PreviewRequest,
        response=PreviewBody,
        problems=(
            *_BODY,
            problems.UnknownAction,
            problems.InvalidParams,
            problems.TargetForbidden,
            problems.ProviderNotConfigured,
            problems.StoreUnavailable,
        ),
    ),
    ("POST", "/actions/execute"): Operation(
        summary="Send a preview, at most once per key; a retry gets the same run",
        request=wire.ExecuteRequest,
        response=RunBody,
        problems=(
            *_BODY,
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
        response=wire.ActionsBody,
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
    ("GET", "/health"): Operation(summary="Whether the process is alive", response=wire.HealthBody),
    ("GET", "/ready"): Operation(
        summary="Whether this gateway may take traffic, and why not",
        response=wire.ReadyBody,
        problems=(problems.NotReady,),
    ),
    ("GET", "/version"): Operation(summary="What runs here", response=wire.VersionBody),
    ("GET", "/metrics"): Operation(summary="Instruments, for Prometheus"),
    ("GET", "/openapi.json"): Operation(summary="This document"),
}


@cache
def document() -> bytes:
    types = {
        kind
        for operation in OPERATIONS.values()
        for kind in (operation.request, operation.response, problems.ProblemBody)
        if kind
    }
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Relay", "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    return msgspec.json.encode(described)


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [
            *(_parameter("path", name[1:-1]) for name in path.split("/") if name.startswith("{")),
            *(_parameter("header", name) for name in operation.headers),
        ],
        "responses": {
            "200": {"description": "Done", **_content("application/json", operation.response)},
            **_refusals([*operation.problems, problems.InternalError]),
        },
    }
    if operation.request:
        described["requestBody"] = {
            "required": True,
            **_content("application/json", operation.request),
        }
    return described


def _parameter(place: str, name: str) -> dict[str, Any]:
    return {
        "in": place,
        "name": name,
        "required": place == "path",
        "schema": {"type": "string"},
    }


def _refusals(refusals: Sequence[type[Problem]]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for refusal in refusals:
        by_status.setdefault(str(refusal.status), []).append(problems.code(refusal))
    return {
        status: {
            "description": ", ".join(codes),
            **_content(problems.MEDIA_TYPE, problems.ProblemBody),
        }
        for status, codes in sorted(by_status.items())
    }


def _content(media_type: str, kind: type[Struct] | None) -> dict[str, Any]:
    if kind is None:
        return {}
    return {"content": {media_type: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}}
