"""Start the trace of a request: continue the caller's or begin a new one, and sample it.

An untrusted `traceparent` starts a new trace that links to the caller's. The caller's sampled flag
must not fill our trace store, and its trace id must not join its requests to those of others (W3C
Trace Context, security considerations).
"""

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

from gateway.telemetry.links import TraceLinks
from gateway.telemetry.spans import NO_STATE, Recorder, Span, Trace, random_id, remote


def sampler() -> Sampler:
    """The sampler that OTEL_TRACES_SAMPLER names, as the SDK reads it; every request by default."""
    return TracerProvider(shutdown_on_exit=False).sampler


class Tracing:
    """`trusted`: whether to continue the trace that a caller names."""

    def __init__(self, sampler: Sampler, *, links: TraceLinks, trusted: bool) -> None:
        self._sampler = sampler
        self._links = links
        self._trusted = trusted
        self.record: Recorder | None = None

    def begin(self, request_id: str, name: str, carrier: Mapping[str, str]) -> Span:
        """The server span. `carrier`: the caller's traceparent and tracestate, if any."""
        # An untrusted tracestate is not sent on, so it is not parsed either.
        kept = carrier if self._trusted else {"traceparent": carrier.get("traceparent", "")}
        caller = remote(kept) if carrier else None
        parent = caller if self._trusted else None
        trace_id = parent.trace_id if parent else random_id(128)
        around = set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()
        decision = self._sampler.should_sample(around, trace_id, name, SpanKind.SERVER).decision
        trace = Trace(
            request_id,
            trace_id=trace_id,
            sampled=decision is Decision.RECORD_AND_SAMPLE,
            state=parent.trace_state if parent else NO_STATE,
            record=self.record,
        )
        trace.trusting = self._trusted
        server = Span(trace, name, parent=parent, kind=SpanKind.SERVER)
        if not parent:
            server.link(caller)
        if trace.exemplar:
            trace.link = self._links.to(trace.exemplar["trace_id"], server.id, request_id)
        return server
