"""Who may ask from a page of another origin (Fetch standard, CORS protocol)."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway import problems
from gateway.telemetry.spans import annotate, current

ALLOWED_METHODS = ["GET", "POST", "DELETE", "OPTIONS"]
ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Prefer",
    "X-Request-ID",
    "X-Signature",
    "traceparent",
]
EXPOSED_HEADERS = [
    "Idempotency-Expires",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Trace-Link",
]
# What a problem has of its own.
OF_BODY = ("content-length", "content-type")


class Cors(CORSMiddleware):
    """Starlette's, around the whole application; a preflight is refused by a problem."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=ALLOWED_METHODS,
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=600,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        named = {name: it for name, it in answer.headers.items() if name not in OF_BODY}
        annotate(problem=problems.code(problems.InvalidRequest))
        refused = problems.InvalidRequest(f"{bytes(answer.body).decode()}.", headers=named)
        return problems.render(refused, current().trace.request_id)
