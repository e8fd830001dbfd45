"""Encode answers: JSON bodies, stored documents and problems."""

from collections.abc import Sequence
from typing import Literal, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from starlette.responses import Response

from gateway import problems
from gateway.problem import FieldError, Problem
from gateway.timestamps import Timestamp

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
# RFC 9110, 11.6.1: a 401 names the scheme.
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="relay"'}


class CheckBody(Struct, kw_only=True, frozen=True):
    """One check of /ready."""

    name: str
    verdict: Literal["ok", "warning", "failed"]
    detail: str


class ApprovalNeeded(Struct, kw_only=True, frozen=True):
    """What a held preview waits for. `needed`: approvals of the rule that asks for most. `from`: of
    all rules, who counts; empty: every key that may decide. `url`: the page of the approval, where
    the gateway has PUBLIC_URL.
    """

    state: str
    needed: int
    rules: Sequence[str]
    approvers: Sequence[str] = field(name="from")
    decide_by: Timestamp
    url: str | None


class ProblemBody(Struct, frozen=True, kw_only=True):
    """The body of every refusal: RFC 9457's members, then Relay's.

    `safe_to_retry`: the request may be repeated with the same Idempotency-Key. Only behind 429,
    502, `target_forbidden`, `target_suspended` and `approval_pending` does it also mean that
    nothing was sent. `approval`: what the preview waits for.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[FieldError] | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    safe_to_retry: bool | UnsetType = UNSET
    checks: Sequence[CheckBody] | UnsetType = UNSET
    approval: ApprovalNeeded | UnsetType = UNSET
    request_id: str


def json_response(body: Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def problem_response(problem: Problem, request_id: str) -> Response:
    body = msgspec.json.encode(problem_body(problem, request_id))
    challenge = CHALLENGE if problem.status == 401 else {}
    headers = {**challenge, **problem.headers}
    return Response(body, problem.status, headers, PROBLEM_JSON)


def problem_body(problem: Problem, request_id: str) -> ProblemBody:
    name = problems.code(type(problem))
    assert isinstance(problem.approval, ApprovalNeeded | UnsetType)
    return ProblemBody(
        type=f"/problems/{name}",
        title=problem.title,
        status=problem.status,
        detail=str(problem),
        code=name,
        errors=problem.errors,
        run_id=problem.run_id,
        safe_to_retry=problem.safe_to_retry,
        checks=cast("Sequence[CheckBody] | UnsetType", problem.checks),
        approval=problem.approval,
        request_id=request_id,
    )
