"""Which pages of other origins may send requests (Fetch standard, CORS protocol)."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import problems
from gateway.http.responses import problem_response
from gateway.telemetry.spans import annotate, current

ALLOWED_METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Prefer",
    "X-Request-ID",
    "X-Signature",
    # What tracing libraries add to each request of a page; a refusal would stop the page.
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
]
EXPOSED_HEADERS = [
    "ETag",
    "Idempotency-Expires",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Trace-Link",
]
# Headers that a problem sets itself.
OF_BODY = ("content-length", "content-type")


class Cors(CORSMiddleware):
    """Starlette's middleware around the whole application. A refused preflight gets a problem."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], headers: Sequence[str] = ()) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=ALLOWED_METHODS,
            allow_headers=[*ALLOWED_HEADERS, *headers],
            expose_headers=EXPOSED_HEADERS,
            max_age=600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Programs send no Origin."""
        if scope["type"] == "http" and any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        headers = {name: text for name, text in response.headers.items() if name not in OF_BODY}
        annotate(problem=problems.code(problems.InvalidRequest))
        problem = problems.InvalidRequest(f"{bytes(response.body).decode()}.", headers=headers)
        return problem_response(problem, current().trace.request_id)
