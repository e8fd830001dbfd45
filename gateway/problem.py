"""What a refusal is, and how it looks on the wire: RFC 9457, application/problem+json."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class FieldError(Struct, frozen=True):
    """`pointer`: where in the request body, as RFC 6901 spells it."""

    pointer: str
    detail: str


class CheckBody(Struct, kw_only=True, frozen=True):
    """One thing that /ready looks at."""

    name: str
    verdict: Literal["ok", "warning", "failed"]
    detail: str


class Problem(Exception):
    """A refusal. The message is its `detail`: what is the case, and what to do."""

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] | UnsetType = UNSET,
        run_id: str | UnsetType = UNSET,
        safe_to_retry: bool | UnsetType = UNSET,
        checks: Sequence[CheckBody] | UnsetType = UNSET,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.errors = errors
        self.run_id = run_id
        self.safe_to_retry = safe_to_retry
        self.checks = checks
        self.headers = headers or {}


class ProblemBody(Struct, frozen=True, kw_only=True):
    """RFC 9457, with Relay's own members behind the standard ones."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[FieldError] | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    safe_to_retry: bool | UnsetType = UNSET
    checks: Sequence[CheckBody] | UnsetType = UNSET
    request_id: str


def code(problem: type[Problem]) -> str:
    """The class name in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", problem.__name__).lower()


def render(problem: Problem, request_id: str) -> Response:
    name = code(type(problem))
    body = ProblemBody(
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
    return Response(msgspec.json.encode(body), problem.status, problem.headers, MEDIA_TYPE)
