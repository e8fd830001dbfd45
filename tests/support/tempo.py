"""Stands in for Grafana Tempo on a real socket: its traces, over spans that were really exported.

There is no Tempo where the tests run. `/api/traces/<id>` answers protobuf when asked for it, in the
form of TracesData, and 404 without the trace (documentation and source, v3.0.3).
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.http.server import ListeningServer, running


class StandIn:
    """`stored`: the bytes that exporters sent; messages of protobuf merge when put together."""

    def __init__(self, stored: Callable[[], bytes]) -> None:
        self._stored = stored
        self.requests: list[Request] = []
        self.url = ""

    def app(self) -> Starlette:
        routes = [
            Route("/api/traces/{trace_id}", self.trace),
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


def spans(data: TracesData) -> Iterable[Span]:
    for resource_spans in data.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


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
    """A span of 1 ms that began this long after a moment of 2026."""
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
