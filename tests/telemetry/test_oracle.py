"""Our server span equals that of OpenTelemetry's Starlette instrumentation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.middleware import RequestContext
from gateway.http.server import ListeningServer, running
from gateway.telemetry.links import TraceLinks
from gateway.telemetry.spans import Span
from gateway.telemetry.tracing import Tracing, sampler
from tests.support.gateways import client

# Of the oracle, and not of ours, each with its reason.
NOT_OURS = {
    "client.port": "semantic conventions: opt-in; the port of a proxy says nothing",
    "url.query": "no route takes one, and who sends one may have put a secret there",
}
ASKED = [
    ("GET", "/runs/1", 200),
    ("POST", "/runs/1", 405),
    ("GET", "/nowhere", 404),
    ("GET", "/fails", 503),
    ("DELETE", "/runs/1", 405),
    ("GET", "/runs/1?token=hunter2", 200),
]


async def run(request: Request) -> Response:
    return Response(request.path_params["run_id"])


async def fails(request: Request) -> Response:
    return Response(status_code=503)


def app() -> Starlette:
    return Starlette(
        routes=[
            Route("/runs/{run_id}", run, methods=["GET"]),
            Route("/fails", fails, methods=["GET"]),
        ]
    )


@pytest.fixture
async def oracle(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The server spans of the instrumented app, by request."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")  # its default is the old names
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumented = app()
    StarletteInstrumentor.instrument_app(instrumented, tracer_provider=provider)
    async with serving(instrumented) as relay:
        await ask(relay)
    spans = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    return {str(asked): span for asked, span in zip(ASKED, spans, strict=True)}


@pytest.fixture
async def ours() -> dict[str, Any]:
    recorded: list[Span] = []
    tracing = Tracing(sampler(), links=TraceLinks(None), trusted=False)
    tracing.record = recorded.append
    async with serving(RequestContext(app(), tracing=tracing)) as relay:
        await ask(relay)
    return {str(asked): span for asked, span in zip(ASKED, recorded, strict=True)}


@asynccontextmanager
async def serving(served: Any) -> AsyncIterator[httpx2.AsyncClient]:
    server = ListeningServer(served, host="127.0.0.1", port=0)
    async with running(server) as url, client(url) as opened:
        yield opened


async def ask(relay: httpx2.AsyncClient) -> None:
    for method, path, status in ASKED:
        answer = await relay.request(method, path)
        assert answer.status_code == status


def comparable(span: Any) -> dict[str, Any]:
    """Attributes without those that differ between servers or are Relay's own."""
    attributes = {
        name: value
        for name, value in span.attributes.items()
        if name not in NOT_OURS and not name.startswith("relay.")
    }
    # The oracle takes the Host header as it is, its port included, for the address.
    address = str(attributes["server.address"]).partition(":")[0]
    port_is_a_number = isinstance(attributes["server.port"], int)
    return {**attributes, "server.address": address, "server.port": port_is_a_number}


async def test_our_server_span_equals_the_oracles(
    oracle: dict[str, Any], ours: dict[str, Any], subtests: pytest.Subtests
) -> None:
    """Attributes, name, kind and status are equal; each exception has its reason."""
    for asked in map(str, ASKED):
        with subtests.test(asked):
            assert comparable(ours[asked]) == comparable(oracle[asked])
            assert ours[asked].name == oracle[asked].name
            assert ours[asked].status.status_code == oracle[asked].status.status_code
