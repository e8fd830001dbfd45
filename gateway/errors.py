"""From what was raised to what is answered."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.telemetry.context import CLIENT_GONE, internal_error
from gateway.telemetry.spans import note


def refused(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, problems.Problem)
    note(problem=problems.code(type(error)))
    return problems.render(error, request.state["request_id"])


def store_unavailable(request: Request[Any], error: Exception) -> Response:
    problem = problems.StoreUnavailable(
        "Redis is away; this request sent nothing. Ask again with the same Idempotency-Key.",
        safe_to_retry=True,
        headers={"Retry-After": "1"},
    )
    return refused(request, problem)


def http_exception(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return refused(request, problems.NotFound("See /openapi.json for what there is."))
        case 405:
            allowed = error.headers or {}
            detail = f"This path takes {allowed.get('Allow', 'other methods')}."
            return refused(request, problems.MethodNotAllowed(detail, headers=allowed))
        case _:
            return refused(request, problems.InvalidRequest(f"{error.detail}."))


def client_gone(request: Request[Any], error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def unforeseen(request: Request[Any], error: Exception) -> Response:
    return internal_error(request.state["request_id"])
