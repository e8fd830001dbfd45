"""Spans on their way out: a bounded queue, batches over OTLP, and an end within 3 s.

Nothing here waits for a collector but the SDK's own thread. What it cannot take
is dropped and counted: the newest first, so that the count is exact.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

from gateway.telemetry import metrics
from gateway.telemetry.spans import SCOPE, Recorder, Span
from gateway.version import VERSION

# Seconds for one batch, unless OTEL_EXPORTER_OTLP_TIMEOUT says: OpenTelemetry's 10 would outlast
# the end of the process.
TIMEOUT = 2.0
# Seconds after which a stopping gateway leaves what is not out.
FLUSH_PATIENCE = 2.5
# Milliseconds until a batch goes, unless OTEL_BSP_SCHEDULE_DELAY says: a link that is
# followed at once should lead somewhere. OpenTelemetry waits 5 s.
DELAY_MS = 1000
# Spans that wait, unless OTEL_BSP_MAX_QUEUE_SIZE says (OpenTelemetry's own default).
QUEUE_MAX = 2048
# Spans of a batch, unless OTEL_BSP_MAX_EXPORT_BATCH_SIZE says (OpenTelemetry's own default). The
# event loop may wait for 3 ms while that thread encodes one.
BATCH_MAX = 512
# Between two looks for what failed exports have left: a look takes 25 ms of a busy core.
TIDY_SECONDS = 10.0
# Bytes of a collector's answer that are read; it says next to nothing.
ANSWER_MAX = 4096

_IS_REMOTE_KNOWN = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_IS_REMOTE = trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class CountingExporter(SpanExporter):
    """Counts what is queued and what is lost. `until`: when a stopping process gives up."""

    def __init__(self, post: OTLPSpanExporter, resource: Resource, *, room: int) -> None:
        self._post = post
        self._resource = resource
        self._room = room
        self._queued = self._taken = 0
        self.until = float("inf")
        self._tidied = time.monotonic()

    def admit(self) -> bool:
        """Whether there is room for one more. From the event loop only."""
        if self._queued - self._taken >= self._room:
            metrics.spans_dropped.labels("queue_full").inc()
            return False
        self._queued += 1
        return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """On the processor's thread, the only one that comes here."""
        self._taken += len(spans)
        sent = False
        try:
            sent = time.monotonic() < self.until and self._sent(spans)
        finally:
            if not sent:
                metrics.spans_dropped.labels("export_failed").inc(len(spans))
                self._tidy()
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def _sent(self, spans: Sequence[ReadableSpan]) -> bool:
        # What OTLPSpanExporter.export does, but for its encoding, and that it is content with 3xx.
        answer = self._post._client.export(encode(spans, self._resource))  # noqa: SLF001
        return answer.success and answer.status_code is not None and answer.status_code < 300

    def _tidy(self) -> None:
        """A failed export leaves its batch in a circle of frames and errors, and a calm collector
        of garbage finds it late: 4 MB more every 10 s.
        """
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            gc.collect()
            self._tidied = time.monotonic()

    def shutdown(self) -> None:
        self._post.shutdown()  # type: ignore[no-untyped-call]


class Session(requests.Session):
    """Reads a little of an answer: requests would read all of it, whatever its length."""

    def send(self, request: Any, **options: Any) -> Any:
        response = super().send(request, **{**options, "stream": True})
        content = response.raw.read(ANSWER_MAX)
        if len(content) == ANSWER_MAX:
            response.close()  # there is more; the connection of a whole answer is used again
        response._content = content  # noqa: SLF001
        return response


@asynccontextmanager
async def exporting(endpoint: str, environment: str) -> AsyncIterator[Recorder]:
    """Export what is recorded while the block lasts; then wait up to 2.5 s for what is queued.

    `endpoint`: where OTLP over HTTP is taken, the path included.
    """
    room = _number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_MAX)
    batch = min(_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_MAX), room)
    post = OTLPSpanExporter(endpoint=endpoint, timeout=_timeout(), session=Session())
    outbox = CountingExporter(post, _resource(environment), room=room)
    processor = BatchSpanProcessor(
        outbox,
        max_queue_size=2 * room,  # never full: what is too much stops at `admit`
        schedule_delay_millis=_number("OTEL_BSP_SCHEDULE_DELAY", DELAY_MS),
        max_export_batch_size=batch,
    )

    def record(span: Span) -> None:
        if outbox.admit():
            processor.on_end(span)

    try:
        yield record
    finally:
        outbox.until = time.monotonic() + FLUSH_PATIENCE
        await _shut_down(processor)


async def _shut_down(processor: BatchSpanProcessor) -> None:
    """In a thread that may be left behind: the processor's own end may take 30 s."""
    loop, flushed = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        processor.shutdown()  # type: ignore[no-untyped-call]
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(flushed.set)

    threading.Thread(target=shut_down, name="telemetry-flush", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(flushed.wait(), FLUSH_PATIENCE)


def _resource(environment: str) -> Resource:
    """`OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before what we say."""
    own = {"service.version": VERSION, "deployment.environment.name": environment}
    told = Resource.create()
    named = not str(told.attributes[SERVICE_NAME]).startswith("unknown_service")
    name = {} if named else {SERVICE_NAME: "relay"}
    return Resource({**own, **told.attributes, **name})


def _number(variable: str, default: int) -> int:
    """OpenTelemetry's own variables; a value it would not take is not taken either."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() and int(text) > 0 else default


def _timeout() -> float:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"):
        with suppress(ValueError):
            return float(os.environ.get(variable, ""))
    return TIMEOUT


def encode(spans: Sequence[ReadableSpan], resource: Resource) -> bytes:
    """An ExportTraceServiceRequest, in the form of the protocol (OTLP 1.7, 2)."""
    request = ExportTraceServiceRequest()
    ours = request.resource_spans.add()
    _put(ours.resource.attributes, resource.attributes)
    scope = ours.scope_spans.add()
    scope.scope.name, scope.scope.version = SCOPE.name, SCOPE.version or ""
    scope.schema_url = SCOPE.schema_url or ""
    for span in spans:
        _fill(scope.spans.add(), span, span.context)
    message: bytes = request.SerializeToString()
    return message


def _fill(into: Any, span: ReadableSpan, context: SpanContext) -> None:
    parent = span.parent
    into.trace_id = context.trace_id.to_bytes(16, "big")
    into.span_id = context.span_id.to_bytes(8, "big")
    into.name = span.name
    into.kind = span.kind.value + 1  # protobuf's 0 means not said
    into.start_time_unix_nano, into.end_time_unix_nano = span.start_time, span.end_time
    into.status.code = span.status.status_code.value
    into.flags = _flags(parent)
    if parent:
        into.parent_span_id = parent.span_id.to_bytes(8, "big")
    if context.trace_state:
        into.trace_state = context.trace_state.to_header()
    _put(into.attributes, span.attributes)
    for link in span.links:
        pointed = into.links.add()
        pointed.trace_id = link.context.trace_id.to_bytes(16, "big")
        pointed.span_id = link.context.span_id.to_bytes(8, "big")
        pointed.flags = _flags(link.context)


def _flags(context: SpanContext | None) -> int:
    remote = context is not None and context.is_remote
    return _IS_REMOTE_KNOWN | _IS_REMOTE if remote else _IS_REMOTE_KNOWN


def _put(into: Any, attributes: Mapping[str, Any] | None) -> None:
    for key, value in (attributes or {}).items():
        pair = into.add()
        pair.key = key
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value
