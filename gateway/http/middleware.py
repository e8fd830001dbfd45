"""The outermost layer: every request has an id, a server span, a line and a count.

Pure ASGI, around everything else, so that Starlette's own errors, CORS
preflights and cancelled requests pass through here too.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from uuid import uuid4

from opentelemetry.trace import SpanKind
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http import tracing as http
from gateway.problems import InternalError, NotReady, render
from gateway.telemetry import metrics
from gateway.telemetry.logs import log_event
from gateway.telemetry.spans import Field, Span, Trace
from gateway.telemetry.tracing import Tracing

# Asked every second by whoever balances and scrapes: counted, but neither traced nor,
# while all is well, put into the log.
PROBES = frozenset({"/health", "/ready", "/metrics"})
# What nginx writes for a client that is gone; nobody receives it.
CLIENT_GONE = 499

Header = tuple[bytes, bytes]

# Two years, as browsers' preload lists ask; only where answers come over TLS.
HSTS: Header = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
ALWAYS: tuple[Header, ...] = (
    # Each answer has an id of its own, and most have ids of runs and previews.
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# Also on answers to no origin: a cache must not give them to one.
VARY: Header = (b"vary", b"Origin")

log = logging.getLogger("relay.request")


class RequestContext:
    """Takes the client's X-Request-ID when there is one and it is harmless, else makes a UUID4.

    `tracing`: None for no spans. `counted`: whether to keep metrics and canonical lines.
    `standing`: headers of every answer that does not have them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracing: Tracing | None = None,
        counted: bool = False,
        standing: Sequence[Header] = (),
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._counted = counted
        self._standing = standing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = _headers(scope)
        request_id = _harmless(given.get("x-request-id")) or str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        server = self._server_span(scope, request_id, given)
        answer = Answer(send, request_id, server.trace.link, self._standing)
        with server:
            try:
                await self._app(scope, receive, answer.send)
            except asyncio.CancelledError:  # uvicorn does so only when it stops
                if not answer.status:
                    await stopping(request_id)(scope, receive, answer.send)
                raise
            except Exception as error:
                log.exception("http.failed")
                server.fail(type(error).__name__)
                if not answer.status:
                    await internal_error(request_id)(scope, receive, answer.send)
            finally:
                self._ended(scope, server, answer.status, time.perf_counter() - started)

    def _server_span(self, scope: Scope, request_id: str, given: Mapping[str, str]) -> Span:
        if self._tracing is None or scope["path"] in PROBES:
            server = Span(Trace(request_id), "", kind=SpanKind.SERVER)
        else:
            carrier = {name: given[name] for name in ("traceparent", "tracestate") if name in given}
            server = self._tracing.begin(request_id, http.method(scope), carrier)
            if server.trace.record:
                http.describe(server, scope, given)
        server.trace.counted = self._counted
        return server

    def _ended(self, scope: Scope, server: Span, status: int, seconds: float) -> None:
        method, endpoint = http.method(scope), http.endpoint(scope)
        trace = server.trace
        if trace.record:
            http.conclude(server, method, endpoint, status)
        if trace.counted:
            _tell(trace, method, endpoint, status, seconds)

    def unparsed(self, request_id: str, status: int) -> None:
        """Count what was no request and got its answer before it came here."""
        if self._counted:
            _tell(Trace(request_id), http.OTHER, "unmatched", status, 0.0)


def _tell(trace: Trace, method: str, endpoint: str, status: int, seconds: float) -> None:
    answered = metrics.counter(metrics.http_requests, endpoint, method, str(status))
    answered.inc(exemplar=trace.exemplar)
    lasted = metrics.histogram(metrics.http_duration, endpoint, method)
    lasted.observe(seconds, trace.exemplar)
    if endpoint in PROBES and status < 400:
        return
    line: dict[str, Field] = {
        "request_id": trace.request_id,
        "method": method,
        "endpoint": endpoint,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    log_event(log, "http.request", line | trace.fields)


class Answer:
    """Puts the ids on what is sent, and keeps its status; 0 until there is one."""

    def __init__(
        self, send: Send, request_id: str, link: str | None, standing: Sequence[Header]
    ) -> None:
        self._send = send
        self._standing = standing
        self._headers = [(b"x-request-id", request_id.encode())]
        if link:
            self._headers.append((b"x-trace-link", link.encode()))
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message["headers"]
            said = {name for name, _ in given}
            kept = [header for header in self._standing if header[0] not in said]
            message["headers"] = [*given, *kept, *self._headers]
        await self._send(message)


def internal_error(request_id: str) -> Response:
    problem = InternalError("This is a fault of Relay; its log has the request_id.")
    return render(problem, request_id)


def stopping(request_id: str) -> Response:
    detail = "This gateway is stopping. Ask again with the same Idempotency-Key."
    return render(NotReady(detail, headers={"Retry-After": "1"}), request_id)


def _headers(scope: Scope) -> dict[str, str]:
    """Those that are looked at here. What is there twice is joined (RFC 9110, 5.3), which is
    right for a tracestate and no well-formed id or traceparent.
    """
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _LOOKED_AT:
            key, text = name.decode(), value.decode("latin-1")
            found[key] = f"{found[key]},{text}" if key in found else text
    return found


_LOOKED_AT = frozenset({b"x-request-id", b"traceparent", b"tracestate", b"user-agent"})


def _harmless(given: str | None) -> str | None:
    return given if given and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else None


def standing(*, production: bool, shared: bool) -> tuple[Header, ...]:
    """`shared`: whether pages of other origins may read answers (CORS)."""
    return (*ALWAYS, *((HSTS,) if production else ()), *((VARY,) if shared else ()))
