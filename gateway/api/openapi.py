"""The OpenAPI document, made from the table of endpoints and the Structs that decode and encode."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway import problems
from gateway.access.sessions import COOKIE
from gateway.api.endpoint import Endpoint
from gateway.http.requests import IDEMPOTENCY_KEY
from gateway.http.responses import JSON, PROBLEM_JSON, ProblemBody
from gateway.http.schemas import typed
from gateway.problem import Problem
from gateway.version import VERSION

# What admission refuses with, where an endpoint has a scope.
ADMISSION = (
    problems.Unauthenticated,
    problems.AssertionRefused,
    problems.Forbidden,
    problems.NoRole,
    problems.StoreUnavailable,
    problems.IssuerUnavailable,
)
KEY, SESSION = "api_key", "session"
BEARER = {"type": "http", "scheme": "bearer", "description": "An API key of Relay: rly_..."}
SESSION_COOKIE = {
    "type": "apiKey",
    "in": "cookie",
    "name": COOKIE,
    "description": "What `POST /session` sets. Writes have to come from a page of this origin.",
}

DESCRIPTION = (
    "Preview an action, execute it at most once, replay its answer. Every refusal is "
    "application/problem+json (RFC 9457) with a `code`; every path can also answer `not_found` and "
    "`method_not_allowed`, and, where bytes are no request of HTTP/1.1, `invalid_request`, "
    "`request_timeout` and `unknown_transfer_coding`."
)
# Header names, and what they tell.
HEADERS = {
    "Idempotency-Key": "The caller's name for one action, 1 to 255 visible ASCII characters. By "
    "default the preview_id.",
    "MCP-Protocol-Version": "The version of MCP that the body names.",
    "Mcp-Method": "The method that the body names.",
    "Mcp-Name": "The tool that the body names.",
    "Prefer": "`wait=n`: how many seconds to wait for a run of this key that is in flight, or for "
    "a decision; at most 30. An execute waits 10 s by default.",
    "X-Request-ID": "The id of this request: the caller's, if it sent one.",
    "X-Trace-Link": "A link to the trace, where one is kept and links are configured.",
    "Location": "The path of the run, or of the approval.",
    "Idempotent-Replayed": "`true` where the answer is that of an earlier request.",
    "Idempotency-Expires": "Until when retries get this answer.",
    "Retry-After": "Seconds until a retry can succeed.",
    "ETag": "The version, for If-Match.",
    "If-Match": "The ETag that the caller has seen; a change of another since then is 412.",
    "Set-Cookie": "The cookie of the session.",
    "RateLimit": "What is left of the limits.",
    "RateLimit-Policy": "The limits.",
}
# What is refused, or found nowhere, of the parameters that are not fields of a Struct.
PARAMETERS: dict[str, dict[str, Any]] = {
    "If-Match": {"minLength": 3, "maxLength": 11, "pattern": '^"[0-9]{1,9}"$'},
    "Idempotency-Key": {"minLength": 1, "maxLength": 512, "pattern": IDEMPOTENCY_KEY},
    "preview_id": {"minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "run_id": {"minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "key_id": {"minLength": 8, "maxLength": 8, "pattern": "^[0-9A-Za-z]+$"},
}
EVERY_ANSWER = ("X-Request-ID", "X-Trace-Link")
EXAMPLES: dict[str, Any] = {
    "PreviewRequest": {
        "action": "webhook.save",
        "params": {"url": "https://example.com/hook", "body": {"test": "hello"}},
    },
    "ExecuteRequest": {"preview_id": "6f0c1c2e-0a3b-4c4d-8e5f-101112131415"},
    "CreateKeyRequest": {"name": "robot", "role": "operator"},
    "CreateChannelRequest": {"name": "duty", "url": "https://example.com/hook"},
    "AuthorizeRequest": {
        "actions": ["google.gmail.send"],
        "expected_account": "ann@example.com",
    },
    "CreateConnectionRequest": {
        "label": "crm",
        "kind": "bearer",
        "secret": "...",
        "hosts": ["api.example.com"],
    },
    "DecisionRequest": {"decision": "approve", "digest": "sha256:" + "0" * 64},
    "Message": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    "RotateKeyRequest": {"overlap_hours": 24},
    "CreateSecretRequest": {},
    "PolicyRequest": {"text": 'default = "approve"'},
    "ExplainRequest": {
        "facts": {"action": "webhook.save", "method": "POST", "url": "https://api.bank.example/"}
    },
    "SignInRequest": {"key": "rly_live_..."},
}


def document(endpoints: Sequence[Endpoint]) -> bytes:
    types = {
        kind
        for endpoint in endpoints
        for kind in (endpoint.request, endpoint.response, ProblemBody, *endpoint.others.values())
        if kind
    }
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Relay",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags(endpoints),
        "paths": paths,
        "components": {
            "schemas": {name: typed(schema) for name, schema in schemas.items()},
            "headers": {name: _header(name) for name in HEADERS},
            "securitySchemes": {KEY: BEARER, SESSION: SESSION_COOKIE},
        },
    }
    return msgspec.json.encode(described)


def _tags(endpoints: Sequence[Endpoint]) -> list[dict[str, str]]:
    """A tag for each resource, described by the first sentence of its module."""
    modules = {endpoint.tag: sys.modules[endpoint.handler.__module__] for endpoint in endpoints}
    return [
        {"name": tag, "description": (module.__doc__ or "").partition(".")[0].replace("\n", " ")}
        for tag, module in modules.items()
    ]


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parts = endpoint.path.split("/")
    return [
        *(_parameter("path", part[1:-1]) for part in parts if part.startswith("{")),
        *(_parameter("header", name) for name in endpoint.headers),
        *(_query(endpoint.query) if endpoint.query else ()),
    ]


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    admission = ADMISSION if endpoint.scope else ()
    refusals = [*dict.fromkeys((*endpoint.problems, *admission, problems.InternalError))]
    limited = ("RateLimit", "RateLimit-Policy") if endpoint.limited else ()
    described: dict[str, Any] = {
        "operationId": endpoint.operation_id,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": f"{endpoint.summary}.",
        # An empty list says that the endpoint is for everyone.
        "security": [{KEY: [endpoint.scope]}, {SESSION: []}] if endpoint.scope else [],
        "parameters": _parameters(endpoint),
        "responses": {
            str(endpoint.status): {
                "description": endpoint.summary,
                "headers": _headers(*EVERY_ANSWER, *limited, *endpoint.answers),
                **_content(JSON, endpoint.response),
            },
            **_refusals(refusals, limited),
        },
    }
    _add_others(described["responses"], endpoint)
    if endpoint.request:
        name = endpoint.request.__name__
        content = _content(JSON, endpoint.request)
        content["content"][JSON]["example"] = EXAMPLES[name]
        described["requestBody"] = {"required": True, **content}
    return described


def _add_others(responses: dict[str, Any], endpoint: Endpoint) -> None:
    """Where a status has a problem too, the media type says which of both an answer is."""
    for status, kind in endpoint.others.items():
        other = {"description": endpoint.summary, "headers": _headers(*EVERY_ANSWER)}
        answer = responses.setdefault(str(status), other)
        if kind:
            answer.setdefault("content", {}).update(_content(JSON, kind)["content"])


def _parameter(place: str, name: str) -> dict[str, Any]:
    parameter = {
        "in": place,
        "name": name,
        "required": place == "path",
        "schema": {"type": "string", **PARAMETERS.get(name, {})},
    }
    return parameter | ({"description": HEADERS[name]} if place == "header" else {})


def _query(kind: type[Struct]) -> Iterator[dict[str, Any]]:
    """Its fields, each without the null that stands for an absent parameter."""
    _, schemas = msgspec.json.schema_components([kind])
    for name, field in schemas[kind.__name__]["properties"].items():
        parameter = _parameter("query", name)
        schema = field["anyOf"][0] if "anyOf" in field else field
        parameter["schema"] = typed(schema)
        yield parameter


def _refusals(refusals: Sequence[type[Problem]], limited: Sequence[str]) -> dict[str, Any]:
    by_status: dict[str, list[type[Problem]]] = {}
    for refusal in refusals:
        by_status.setdefault(str(refusal.status), []).append(refusal)
    return {
        status: {
            "description": "; ".join(f"`{problems.code(one)}`: {one.title}" for one in kinds),
            "headers": _headers(*EVERY_ANSWER, *limited, *_RETRIED.get(status, ())),
            **_content(PROBLEM_JSON, ProblemBody),
        }
        for status, kinds in sorted(by_status.items())
    }


_RETRIED = {"409": ("Retry-After", "Location"), "429": ("Retry-After",), "503": ("Retry-After",)}


def _content(media_type: str, kind: type[Struct] | None) -> dict[str, Any]:
    if kind is None:
        return {}
    return {"content": {media_type: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> dict[str, Any]:
    return {"description": HEADERS[name], "schema": {"type": "string"}}
