"""Our encoder makes the same message as OpenTelemetry's, field for field."""

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from gateway.telemetry.export import encode
from gateway.telemetry.spans import NO_STATE, Span, Trace

RESOURCE = Resource({"service.name": "relay", "service.version": "1"})
REMOTE = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "v")]))


def ended(span: Span) -> Span:
    """The span as it is recorded."""
    span.trace.record = lambda recorded: None
    with span:
        return span


def sampled(**more: Any) -> Trace:
    return Trace("r-1", trace_id=2**127 + 5, sampled=True, **more)


def failing() -> Span:
    span = Span(sampled(), "POST", kind=SpanKind.CLIENT, parent=REMOTE)
    span.fail("503")
    return span


def linking() -> Span:
    span = Span(sampled(), "POST /actions/execute", kind=SpanKind.SERVER)
    span.link(REMOTE)
    span.link(SpanContext(2**128 - 1, 2**64 - 1, False, TraceFlags(0), NO_STATE))
    return span


def telling() -> Span:
    span = Span(sampled(), "settle")
    span.attrs.update({"s": "\u00e9\u2028", "i": -5, "big": 2**62, "b": True, "f": 0.5, "": ""})
    return span


def stateful() -> Span:
    state = TraceState([("a", "1"), ("b", "2")])
    return Span(sampled(state=state), "x", parent=REMOTE)


@pytest.mark.parametrize("make", [failing, linking, telling, stateful])
def test_a_span_is_encoded_like_opentelemetrys(make: Any) -> None:
    """Every field that the oracle sets is set, and no other."""
    span = ended(make())
    span._resource = RESOURCE
    ours = ExportTraceServiceRequest.FromString(encode([span], RESOURCE))
    assert ours == encode_spans([span])


def test_spans_of_a_batch_keep_their_order() -> None:
    """They share one resource and one scope."""
    spans = [ended(make()) for make in (failing, linking, telling, stateful)]
    ours = ExportTraceServiceRequest.FromString(encode(spans, RESOURCE))
    [resource] = ours.resource_spans
    [scope] = resource.scope_spans
    assert [span.name for span in scope.spans] == [span.name for span in spans]
