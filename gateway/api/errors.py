"""From what was raised to what is answered."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.access.principal import Principal
from gateway.access.quotas import Quotas
from gateway.http import tracing as http
from gateway.http.middleware import CLIENT_GONE, internal_error
from gateway.telemetry.spans import annotate
from stores.audit_entries import Entry

# What the audit is told of.
AUDITED = (
    problems.Unauthenticated,
    problems.Forbidden,
    problems.RateLimited,
    problems.TargetForbidden,
)


def refused(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, problems.Problem)
    code = problems.code(type(error))
    annotate(problem=code)
    if isinstance(error, AUDITED):
        _audit(request, code, error)
    quotas: Quotas = request.state["quotas"]
    return quotas.tell(request, problems.render(error, request.state["request_id"]))


def _audit(request: Request[Any], code: str, error: problems.Problem) -> None:
    principal: Principal = request.state["principal"]
    entry = Entry(
        event="request.refused",
        principal=principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        subject=principal.named,
        status=code,
        # What follows is not the same in two that are alike, such as a time to wait.
        reason=str(error).partition(". ")[0].rstrip("."),
        detail=f"{request.method} {http.endpoint(request.scope)}",
    )
    request.state["journal"].note(principal.workspace, entry)


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
