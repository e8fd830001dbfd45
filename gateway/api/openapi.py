"""The OpenAPI document, made from the same Structs that decode and encode."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from gateway import problems
from gateway.access.admission import ROUTE_SCOPES
from gateway.api.operations import OPERATIONS, Operation
from gateway.problems import Problem
from gateway.version import VERSION

# Before all others, where a route asks for a scope.
ADMISSION = (problems.Unauthenticated, problems.Forbidden, problems.StoreUnavailable)
KEY = "api_key"
BEARER = {"type": "http", "scheme": "bearer", "description": "An API key of Relay: rly_..."}

DESCRIPTION = (
    "Preview, execute at most once, replay. Every refusal is application/problem+json (RFC 9457) "
    "with a `code`; beside those of an operation there are not_found and method_not_allowed. "
    "Every response carries X-Request-ID and, where its trace is kept and links are set up, "
    "X-Trace-Link."
)


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
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation)
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Relay", "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {KEY: BEARER}},
    }
    return msgspec.json.encode(described)


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    scope = ROUTE_SCOPES[method, path]
    admission = ADMISSION if scope else ()
    refusals = [*dict.fromkeys((*operation.problems, *admission, problems.InternalError))]
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [
            *(_parameter("path", name[1:-1]) for name in path.split("/") if name.startswith("{")),
            *(_parameter("header", name) for name in operation.headers),
            *(_query(operation.query) if operation.query else ()),
        ],
        "responses": {
            str(operation.status): {
                "description": "Done",
                **_content("application/json", operation.response),
            },
            **_refusals(refusals),
        },
    }
    if scope:
        described["security"] = [{KEY: [scope]}]
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


def _query(kind: type[Struct]) -> Iterator[dict[str, Any]]:
    """Its fields, each less the null that stands for not given."""
    _, schemas = msgspec.json.schema_components([kind])
    for name, field in schemas[kind.__name__]["properties"].items():
        parameter = _parameter("query", name)
        parameter["schema"] = field["anyOf"][0] if "anyOf" in field else field
        yield parameter


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
