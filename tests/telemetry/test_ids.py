"""Header, body, span and log line have one request id, for every kind of response."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.api.routes import PROBES
from gateway.http.middleware import RequestContext
from gateway.http.requests import BODY_MAX
from gateway.telemetry.export import exporting
from gateway.telemetry.links import TraceLinks
from gateway.telemetry.tracing import Tracing, sampler
from tests.support.collector import Collector
from tests.support.gateways import Relay
from tests.support.held import held
from tests.support.observed import Lines, Traced
from tests.support.target import Target
from tests.support.valkey import Valkey

ORIGIN = "https://studio.example.com"
Asked = Callable[[Relay, Target], Awaitable[httpx2.Response]]


async def found(relay: Relay, target: Target) -> httpx2.Response:
    return await relay.get("/actions")


async def executed(relay: Relay, target: Target) -> httpx2.Response:
    return await relay.execute(await relay.preview_id(target.url))


async def nowhere(relay: Relay, target: Target) -> httpx2.Response:
    return await relay.get("/nowhere")


async def in_progress(relay: Relay, target: Target) -> httpx2.Response:
    running = await held(relay, target, "k-1")
    answer = await relay.execute("any", "k-1", wait=0)
    await running.end()
    return answer


async def too_large(relay: Relay, target: Target) -> httpx2.Response:
    headers = {"Content-Type": "application/json"}
    body = b" " * (BODY_MAX + 1)
    return await relay.post("/actions/preview", content=body, headers=headers)


async def unknown_action(relay: Relay, target: Target) -> httpx2.Response:
    return await relay.post("/actions/preview", json={"action": "no.such", "params": {}})


async def preflight(relay: Relay, target: Target) -> httpx2.Response:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    return await relay.options("/actions/execute", headers=headers)


@pytest.mark.parametrize(
    ("asked", "status", "name"),
    [
        (found, 200, "GET /actions"),
        (executed, 200, "POST /actions/execute"),
        (nowhere, 404, "GET"),
        (in_progress, 409, "POST /actions/execute"),
        (too_large, 413, "POST /actions/preview"),
        (unknown_action, 422, "POST /actions/preview"),
        (preflight, 200, "OPTIONS"),
    ],
)
async def test_one_id_everywhere(
    traced: Traced,
    collector: Collector,
    target: Target,
    lines: Lines,
    asked: Asked,
    status: int,
    name: str,
) -> None:
    """Header, body, span, line and link belong to one request."""
    async with traced(cors_origins=(ORIGIN,)) as relay:
        answer = await asked(relay, target)
    assert answer.status_code == status
    await agree(answer, collector, lines, name)


async def test_one_id_without_a_store(
    traced: Traced, collector: Collector, own_valkey: Valkey, lines: Lines
) -> None:
    """503, because Redis is away."""
    own_valkey.stop()
    async with traced(own_valkey.url) as relay:
        answer = await relay.get("/runs/1")
    own_valkey.start()
    assert answer.status_code == 503
    await agree(answer, collector, lines, "GET /runs/{run_id}")


async def agree(answer: httpx2.Response, collector: Collector, lines: Lines, name: str) -> None:
    request_id = answer.headers["X-Request-ID"]
    assert UUID(request_id).version == 4
    [server] = [s for s in await collector.of_request(request_id) if s.kind == 2]
    [line] = [line for line in lines.of("http.request") if line["request_id"] == request_id]
    assert server.name == name
    assert (line["trace_id"], line["span_id"]) == (server.trace_id, server.span_id)
    assert line["status"] == answer.status_code
    assert server.attributes["http.response.status_code"] == answer.status_code
    assert server.trace_id in answer.headers["X-Trace-Link"]
    if answer.content and "json" in answer.headers["Content-Type"]:
        assert answer.json()["request_id"] == request_id


@asynccontextmanager
async def wrapped(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], collector: Collector
) -> AsyncIterator[RequestContext]:
    """The outermost layer wrapped an app without any of our routes."""
    tracing = Tracing(sampler(), links=TraceLinks("https://t.example/{trace_id}"), trusted=False)
    async with exporting(collector.endpoint, "development") as tracing.record:
        yield RequestContext(app, tracing=tracing, counted=True)


async def request(context: RequestContext, sent: list[Message]) -> None:
    """Send a request; add each message of the response to `sent`."""

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(b"x-request-id", b"asked-1")],
    }
    await context(scope, receive, send)


async def test_one_id_when_relay_fails(collector: Collector, lines: Lines) -> None:
    """A 500 from the outermost layer: the span names the exception, the response does not."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("hunter2")

    async with wrapped(fails, collector) as context:
        sent: list[Message] = []
        await request(context, sent)
    start, body = sent
    headers: dict[bytes, Any] = dict(start["headers"])
    assert (start["status"], headers[b"x-request-id"]) == (500, b"asked-1")
    [server] = await collector.of_request("asked-1")
    [line] = lines.of("http.request")
    assert (line["request_id"], line["trace_id"]) == ("asked-1", server.trace_id)
    assert server.trace_id in headers[b"x-trace-link"].decode()
    assert (server.failed, server.attributes["error.type"]) == (True, "LookupError")
    [failed] = lines.of("http.failed")
    assert (failed["request_id"], failed["span_id"]) == ("asked-1", server.span_id)
    assert failed["exc_info"].startswith("LookupError < ")
    assert b"hunter2" not in body["body"] + collector.raw + lines.text.encode()


async def test_one_id_when_the_request_is_cancelled(collector: Collector, lines: Lines) -> None:
    """As when a gateway stops: the response is a retryable 503, and the cancellation continues."""
    began = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    sent: list[Message] = []
    async with wrapped(waits, collector) as context:
        principal = asyncio.create_task(request(context, sent))
        await began.wait()
        principal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await principal
        assert principal.cancelled()
    start, body = sent
    assert (start["status"], dict(start["headers"])[b"x-request-id"]) == (503, b"asked-1")
    assert b'"code":"not_ready"' in body["body"]
    [server] = await collector.of_request("asked-1")
    [line] = lines.of("http.request")
    assert (line["request_id"], line["span_id"]) == ("asked-1", server.span_id)
    assert line["status"] == server.attributes["http.response.status_code"] == 503


async def test_a_started_response_keeps_its_status(collector: Collector, lines: Lines) -> None:
    """After a cancellation behind its head, no second response is sent."""
    began = asyncio.Event()

    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        began.set()
        await asyncio.Event().wait()

    sent: list[Message] = []
    async with wrapped(breaks_off, collector) as context:
        principal = asyncio.create_task(request(context, sent))
        await began.wait()
        principal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await principal
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [line["status"] for line in lines.of("http.request")] == [200]


@pytest.mark.parametrize("path", sorted(PROBES))
async def test_successful_probes_have_no_span_and_no_line(
    traced: Traced, collector: Collector, lines: Lines, path: str
) -> None:
    """They have an id; another request has span, link and line too."""
    async with traced() as relay:
        probe = await relay.get(path)
        answer = await relay.get("/version")
    assert probe.status_code == 200
    assert probe.headers["X-Request-ID"]
    assert "X-Trace-Link" not in probe.headers
    await agree(answer, collector, lines, "GET /version")
    assert [line["endpoint"] for line in lines.of("http.request")] == ["/version"]
    assert {span.name for span in collector.spans} == {"GET /version"}


async def test_a_failing_probe_has_a_line(traced: Traced, own_valkey: Valkey, lines: Lines) -> None:
    """A 503 of /ready is logged."""
    own_valkey.stop()
    async with traced(own_valkey.url) as relay:
        answer = await relay.get("/ready")
    own_valkey.start()
    [line] = lines.of("http.request")
    assert (line["status"], line["endpoint"]) == (503, "/ready")
    assert line["request_id"] == answer.headers["X-Request-ID"] == answer.json()["request_id"]
