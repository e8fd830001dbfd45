"""The outermost layer: every request gets an id, a server span, a log line and a count.

Pure ASGI around everything else, so that Starlette's own errors, CORS preflights and cancelled
requests pass through here too.
"""

import asyncio
import logging
import re
import time
from collections.abc import Collection, Mapping, Sequence

from opentelemetry.trace import SpanKind
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http import tracing as http
from gateway.http.responses import problem_response
from gateway.problems import InternalError, NotReady
from gateway.telemetry import metrics
from gateway.telemetry.ids import new_id
from gateway.telemetry.logs import log_event
from gateway.telemetry.spans import Field, Span, Trace
from gateway.telemetry.tracing import Tracing

# The status that nginx logs for a client that has gone. No client receives it.
CLIENT_GONE = 499

Header = tuple[bytes, bytes]

# Two years, as the preload lists of browsers require. Only for responses over TLS.
HSTS: Header = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
ALWAYS: tuple[Header, ...] = (
    # Each response has its own id, and most hold ids of runs and previews.
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# Also on responses to requests without an origin: a cache must not serve them to one.
VARY: Header = (b"vary", b"Origin")

log = logging.getLogger("relay.request")


class RequestContext:
    """Takes the client's X-Request-ID if it is well-formed, else makes a UUID4.

    `tracing`: None for no spans. `counted`: whether to keep metrics and canonical lines.
    `default_headers`: headers of every response that does not set them itself. `probes`: paths
    that load balancers and scrapers poll every second: they have no span, and no log line while
    they answer 200; three replicas behind one balancer would log 260,000 lines a day.

    A request ends when its answer has begun if it leaves `rest` in its state: what an endless
    answer goes on with.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracing: Tracing | None = None,
        counted: bool = False,
        default_headers: Sequence[Header] = (),
        probes: Collection[str] = (),
    ) -> None:
        self._app = app
        self._probes = probes
        self._tracing = tracing
        self._counted = counted
        self._default_headers = default_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = _headers(scope)
        request_id = _well_formed(given.get("x-request-id")) or new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        server = self._server_span(scope, request_id, given)
        response = HeaderWriter(send, request_id, server.trace.link, self._default_headers)
        with server:
            try:
                await self._app(scope, receive, response.send)
            except asyncio.CancelledError:  # uvicorn cancels requests only when it stops
                if not response.status:
                    await stopping(request_id)(scope, receive, response.send)
                raise
            except Exception as error:
                log.exception("http.failed")
                server.fail(type(error).__name__)
                if not response.status:
                    await internal_error(request_id)(scope, receive, response.send)
            finally:
                self._end(scope, server, response.status, time.perf_counter() - started)
        if rest := scope["state"].get("rest"):
            await rest

    def _server_span(self, scope: Scope, request_id: str, given: Mapping[str, str]) -> Span:
        if self._tracing is None or scope["path"] in self._probes:
            server = Span(Trace(request_id), "", kind=SpanKind.SERVER)
        else:
            carrier = {name: given[name] for name in ("traceparent", "tracestate") if name in given}
            server = self._tracing.begin(request_id, http.method(scope), carrier)
            if server.trace.record:
                http.describe(server, scope, given)
        server.trace.counted = self._counted
        return server

    def _end(self, scope: Scope, server: Span, status: int, seconds: float) -> None:
        method, endpoint = http.method(scope), http.endpoint(scope)
        trace = server.trace
        if trace.record:
            http.end(server, method, endpoint, status)
        if trace.counted:
            logged = endpoint not in self._probes or status >= 400
            _report(trace, method, endpoint, status, seconds, logged=logged)

    def unparsed(self, request_id: str, status: int) -> None:
        """Count a response to bytes that could not be parsed as a request."""
        if self._counted:
            _report(Trace(request_id), http.OTHER, "unmatched", status, 0.0, logged=True)


def _report(
    trace: Trace, method: str, endpoint: str, status: int, seconds: float, *, logged: bool
) -> None:
    requests = metrics.counter(metrics.http_requests, endpoint, method, str(status))
    requests.inc(exemplar=trace.exemplar)
    duration = metrics.histogram(metrics.http_duration, endpoint, method)
    duration.observe(seconds, trace.exemplar)
    if not logged:
        return
    line: dict[str, Field] = {
        "request_id": trace.request_id,
        "method": method,
        "endpoint": endpoint,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    log_event(log, "http.request", line | trace.fields)


class HeaderWriter:
    """Adds the ids and default headers to a response. `status`: 0 until the response starts."""

    def __init__(
        self, send: Send, request_id: str, link: str | None, defaults: Sequence[Header]
    ) -> None:
        self._send = send
        self._defaults = defaults
        self._headers = [(b"x-request-id", request_id.encode())]
        if link:
            self._headers.append((b"x-trace-link", link.encode()))
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message["headers"]
            names = {name for name, _ in given}
            defaults = [header for header in self._defaults if header[0] not in names]
            message["headers"] = [*given, *defaults, *self._headers]
        await self._send(message)


def internal_error(request_id: str) -> Response:
    problem = InternalError("This is a fault of Relay. Its log has the request_id.")
    return problem_response(problem, request_id)


def stopping(request_id: str) -> Response:
    detail = "This gateway is stopping. Repeat the request with the same Idempotency-Key."
    return problem_response(NotReady(detail, headers={"Retry-After": "1"}), request_id)


def _headers(scope: Scope) -> dict[str, str]:
    """The headers that this module reads. Repeated ones are joined (RFC 9110, 5.3), which is right
    for a tracestate and makes an id or a traceparent malformed.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            key, text = name.decode(), value.decode("latin-1")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


_READ = frozenset({b"x-request-id", b"traceparent", b"tracestate", b"user-agent"})


def _well_formed(given: str | None) -> str | None:
    return given if given and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else None


def default_headers(*, production: bool, shared: bool) -> tuple[Header, ...]:
    """`shared`: whether pages of other origins may read responses (CORS)."""
    return (*ALWAYS, *((HSTS,) if production else ()), *((VARY,) if shared else ()))
