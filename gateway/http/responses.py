"""Encode answers: JSON bodies, stored documents and problems."""

import msgspec
from msgspec import Struct
from starlette.responses import Response

from gateway import problems

JSON = "application/json"
# RFC 9110, 11.6.1: a 401 names the scheme.
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="relay"'}


def json_response(body: Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def problem_response(problem: problems.Problem, request_id: str) -> Response:
    body = msgspec.json.encode(problems.body(problem, request_id))
    challenge = CHALLENGE if problem.status == 401 else {}
    headers = {**challenge, **problem.headers}
    return Response(body, problem.status, headers, problems.MEDIA_TYPE)
