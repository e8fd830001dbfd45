"""Exception handlers: from what was raised to a problem, audited where the audit wants it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway import problems
from gateway.access.principal import Principal
from gateway.http import tracing as http
from gateway.http.middleware import CLIENT_GONE, internal_error
from gateway.http.responses import problem_response
from gateway.problem import Problem
from gateway.telemetry.spans import annotate, current
from stores.audit.chain import BrokenChain
from stores.audit_entries import Entry
from stores.redis.limits import Quota
from stores.redis.scripts import RedisUnavailable
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated

AUDITED = (
    problems.Unauthenticated,
    problems.Forbidden,
    problems.RateLimited,
    problems.TargetForbidden,
)


def refused(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, Problem)
    record(request, error)
    response = problem_response(error, request.state["request_id"])
    state = request.scope["state"]
    if limited := state.get("limited"):
        assert isinstance(error.quota, Quota | None)
        state["rate_limits"].add(response, state["principal"], limited, error.quota)
    return response


def record(request: Request[Any], problem: Problem) -> None:
    """Add the refusal to the line of the request and, where it matters there, to the audit."""
    code = problems.code(type(problem))
    annotate(problem=code)
    if isinstance(problem, AUDITED):
        _audit(request, code, problem)


def _audit(request: Request[Any], code: str, error: Problem) -> None:
    principal: Principal = request.state["principal"]
    entry = Entry(
        event="request.refused",
        principal=principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        subject=principal.claimed_key,
        status=code,
        # The first sentence: later ones differ between like refusals, such as a time to wait.
        reason=str(error).partition(". ")[0].rstrip("."),
        detail=_asked(request),
        via=principal.via,
    )
    unauthenticated = isinstance(error, problems.Unauthenticated)
    request.state["journal"].note(principal.workspace, entry, unauthenticated=unauthenticated)


def _asked(request: Request[Any]) -> str:
    """The route and, where it serves several operations, which of them."""
    route = f"{request.method} {http.endpoint(request.scope)}"
    return f"{route} {current().trace.operation}".rstrip()


def redis_unavailable(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, RedisUnavailable)
    return refused(request, store_unavailable(error))


def store_unavailable(error: RedisUnavailable) -> Problem:
    return problems.StoreUnavailable(
        f"{error.sentence} {problems.REPEAT}", headers={"Retry-After": "1"}
    )


def client_gone(request: Request[Any], error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def unforeseen(request: Request[Any]) -> Response:
    return internal_error(request.state["request_id"])


HANDLERS: Mapping[type[Exception], Callable[[Request[Any], Exception], Response]] = {
    Problem: refused,
    RedisUnavailable: redis_unavailable,
    ClientDisconnect: client_gone,
}


@contextmanager
def database_problems(*, check_url: str | None = None) -> Iterator[None]:
    """Translate database errors into problems.

    `check_url`: where the caller of a change sees whether it was made; None for a reading.
    """
    try:
        yield
    except (SchemaOutdated, BrokenChain) as error:
        detail = f"Nothing was changed: {error}."
        raise problems.StoreUnavailable(detail) from error
    except DatabaseUnavailable as error:  # its message names hosts
        seen = "Try again."
        if check_url:
            seen = f"The change may have been made: check GET {check_url} before trying again."
        raise problems.StoreUnavailable(
            f"The database does not answer. {seen}",
            safe_to_retry=check_url is None,
            headers={"Retry-After": "1"},
        ) from error
