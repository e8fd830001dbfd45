"""The span that a run keeps is read as OpenTelemetry reads it."""

import pytest

from gateway.telemetry.spans import Span, Trace, kept, remote


def test_the_traceparent_of_a_span_leads_back_to_it() -> None:
    """As the propagator of OpenTelemetry, the oracle here, reads it."""
    for sampled in (False, True):
        span = Span(Trace("r-1", trace_id=5, sampled=sampled), "x")
        assert span.id
        context = kept(span.traceparent)
        assert context == remote({"traceparent": span.traceparent})
        assert context
        assert (context.trace_id, context.span_id, context.is_remote) == (5, span.id, True)
        assert context.trace_flags.sampled == sampled


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "00",
        f"00-{5:032x}-{6:016x}",
        f"00-{5:032x}-{6:016x}-01-02",
        f"00-{0:032x}-{6:016x}-01",
        f"00-{5:032x}-{0:016x}-01",
        f"00-{1 << 128:033x}-{6:016x}-01",
        f"00-{5:032x}-{'x' * 16}-01",
    ],
)
def test_a_malformed_one_leads_nowhere(malformed: str) -> None:
    """A record that others wrote into stops no replay."""
    assert kept(malformed) is None
    assert remote({"traceparent": malformed}) is None
