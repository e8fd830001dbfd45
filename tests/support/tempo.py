"""Stands in for Grafana Tempo 3 on a real socket: its API over spans that were really exported.

There is no Tempo where the tests run. What is followed here is its documentation and source
(v3.0.3): `/api/traces/<id>` answers protobuf when asked for it, in the form of TracesData, and
404 without the trace; `/api/search` takes TraceQL and both or neither of start and end, in
seconds and at most 168 h apart, and leaves the leading zeros of trace ids out.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.http.server import ListeningServer, running

CONDITION = re.compile(r'span\.([a-z_.]+) = "([^"\\]*)"')


class StandIn:
    """`stored`: the bytes that exporters sent; messages of protobuf merge when put together."""

    def __init__(self, stored: Callable[[], bytes]) -> None:
        self._stored = stored
        self.requests: list[Request] = []
        self.url = ""

    def app(self) -> Starlette:
        routes = [
            Route("/api/traces/{trace_id}", self.trace),
            Route("/api/search", self.search),
        ]
        return Starlette(routes=routes)

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.url.path.startswith(path)]

    async def trace(self, request: Request) -> Response:
        self.requests.append(request)
        if request.headers["accept"] != "application/protobuf":
            return PlainTextResponse("only protobuf is served here", 406)
        wanted = bytes.fromhex(request.path_params["trace_id"])
        found = TracesData.FromString(self._stored())
        for resource_spans in found.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                kept = [span for span in scope_spans.spans if span.trace_id == wanted]
                del scope_spans.spans[:]
                scope_spans.spans.extend(kept)
        if not any(spans(found)):
            return PlainTextResponse("trace not found", 404)
        return Response(found.SerializeToString(), media_type="application/protobuf")

    async def search(self, request: Request) -> Response:
        self.requests.append(request)
        if refusal := _refusal(request):
            return PlainTextResponse(refusal, 400)
        matches: dict[bytes, int] = {}
        for span in spans(TracesData.FromString(self._stored())):
            if _holds(request.query_params["q"], span):
                start = span.start_time_unix_nano
                matches[span.trace_id] = min(start, matches.get(span.trace_id, start))
        # The newest first, as Tempo often has them; it promises no order.
        newest = sorted(matches.items(), key=lambda match: -match[1])
        rows = [
            {"traceID": trace_id.hex().lstrip("0"), "startTimeUnixNano": str(start)}
            for trace_id, start in newest
        ]
        return JSONResponse({"traces": rows[: int(request.query_params["limit"])]})


def spans(data: TracesData) -> Iterable[Span]:
    for resource_spans in data.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def _refusal(request: Request) -> str:
    given = {"start", "end"} & request.query_params.keys()
    if len(given) == 1:
        return "please provide both start and end"
    if given:
        start, end = (int(request.query_params[name]) for name in ("start", "end"))
        if not 0 <= end - start <= 168 * 3600:
            return f"range specified by start and end exceeds 168h0m0s. received {start=} {end=}"
    plain = re.sub(CONDITION, "?", request.query_params["q"])
    known = re.fullmatch(r"\{ (\?|\(\? && \?\))( \|\| (\?|\(\? && \?\)))* \}", plain)
    return "" if known else "invalid TraceQL query: parse error"


def _holds(query: str, span: Span) -> bool:
    """Both `||` and `&&` look at one span; TraceQL binds them alike, hence the parentheses."""
    said = {pair.key: pair.value.string_value for pair in span.attributes}
    return any(
        all(said.get(name) == value for name, value in CONDITION.findall(part))
        for part in query.split(" || ")
    )


@asynccontextmanager
async def storing(stored: Callable[[], bytes]) -> AsyncIterator[StandIn]:
    tempo = StandIn(stored)
    async with running(ListeningServer(tempo.app(), host="127.0.0.1", port=0)) as url:
        tempo.url = url
        yield tempo


def made(
    name: str,
    span_id: int,
    *,
    trace_id: int = 1,
    parent: int = 0,
    start_ms: int = 0,
    attributes: dict[str, str] | None = None,
) -> Span:
    """A span of 1 ms that began so long after a moment of 2026."""
    start = MOMENT_NS + start_ms * 1_000_000
    return Span(
        name=name,
        trace_id=trace_id.to_bytes(16),
        span_id=span_id.to_bytes(8),
        parent_span_id=parent.to_bytes(8) if parent else b"",
        start_time_unix_nano=start,
        end_time_unix_nano=start + 1_000_000,
        attributes=[
            KeyValue(key=key, value=AnyValue(string_value=value))
            for key, value in (attributes or {}).items()
        ],
    )


MOMENT_NS = 1_795_410_000 * 1_000_000_000


def exported(*spans: Span) -> bytes:
    """As an exporter sends them."""
    resource_spans = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
    return bytes(TracesData(resource_spans=[resource_spans]).SerializeToString())
