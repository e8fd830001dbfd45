"""Encode answers: JSON bodies, stored documents and problems."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from gateway import problems

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
# RFC 9110, 11.6.1: a 401 names the scheme.
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="relay"'}


class ProblemBody(Struct, frozen=True, kw_only=True):
    """The body of every refusal: RFC 9457's members, then Relay's.

    `safe_to_retry`: the request may be repeated with the same Idempotency-Key. Only behind 429, 502
    and `target_forbidden` does it also mean that nothing was sent.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[problems.FieldError] | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    safe_to_retry: bool | UnsetType = UNSET
    checks: Sequence[problems.CheckBody] | UnsetType = UNSET
    request_id: str


def json_response(body: Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def problem_response(problem: problems.Problem, request_id: str) -> Response:
    body = msgspec.json.encode(problem_body(problem, request_id))
    challenge = CHALLENGE if problem.status == 401 else {}
    headers = {**challenge, **problem.headers}
    return Response(body, problem.status, headers, PROBLEM_JSON)


def problem_body(problem: problems.Problem, request_id: str) -> ProblemBody:
    name = problems.code(type(problem))
    return ProblemBody(
        type=f"/problems/{name}",
        title=problem.title,
        status=problem.status,
        detail=str(problem),
        code=name,
        errors=problem.errors,
        run_id=problem.run_id,
        safe_to_retry=problem.safe_to_retry,
        checks=problem.checks,
        request_id=request_id,
    )
