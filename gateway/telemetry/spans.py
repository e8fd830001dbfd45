"""Spans: what one request did, part by part, and how its context travels.

A span is recorded when it has ended, as one value; OpenTelemetry's SDK samples,
batches and exports it. The SDK's own span objects are not used on the way: they
cost 18 microseconds each with four attributes, where a value costs 3.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.propagation import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Fact = str | int | float | bool
Recorder = Callable[["Span"], None]

_SAMPLED, _DROPPED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
NO_STATE = TraceState()
_propagator = TraceContextTextMapPropagator()


class Trace:
    """What the spans of one request share, and what its canonical line will say.

    `id`: 0 where no traces are made. `record`: None for what is not kept.
    `counted`: whether metrics and lines are wanted of this request.
    """

    __slots__ = (
        "counted",
        "exemplar",
        "facts",
        "flags",
        "id",
        "link",
        "record",
        "request_id",
        "state",
    )

    def __init__(
        self,
        request_id: str,
        *,
        trace_id: int = 0,
        sampled: bool = False,
        state: TraceState = NO_STATE,
        record: Recorder | None = None,
        counted: bool = False,
    ) -> None:
        self.request_id = request_id
        self.id = trace_id
        self.flags = _SAMPLED if sampled else _DROPPED
        self.state = state
        self.record = record if sampled else None
        self.counted = counted
        self.exemplar = {"trace_id": f"{trace_id:032x}"} if sampled else None
        self.link: str | None = None
        self.facts: dict[str, Fact] = {}


class Span:
    """A part of a request, timed by its block; the spans that begin inside are its children."""

    __slots__ = (
        *("attributes", "ended_ns", "error", "id", "kind", "links", "name", "parent"),
        *("started_ns", "trace", "_token"),
    )

    def __init__(
        self,
        trace: Trace,
        name: str,
        *,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self.trace, self.name, self.parent, self.kind = trace, name, parent, kind
        self.id = random_id(64) if trace.id else 0
        self.attributes: dict[str, Fact] = {}
        self.links: tuple[Link, ...] = ()
        self.error: str | None = None
        self.started_ns = self.ended_ns = 0
        self._token: Token[Span] | None = None

    def __enter__(self) -> "Span":
        self.started_ns = time.time_ns()
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token
        _current.reset(self._token)
        if self.trace.record:
            self.ended_ns = time.time_ns()
            if kind and issubclass(kind, Exception):  # to be cancelled is no failure
                self.error = self.error or kind.__name__
            self.trace.record(self)

    @property
    def context(self) -> SpanContext:
        return SpanContext(self.trace.id, self.id, False, self.trace.flags, self.trace.state)

    @property
    def traceparent(self) -> str:
        """W3C Trace Context, 3.2; empty where no traces are made."""
        if not self.trace.id:
            return ""
        return f"00-{self.trace.id:032x}-{self.id:016x}-{self.trace.flags:02x}"

    def fail(self, reason: str) -> None:
        """`reason`: of few values (semantic conventions, `error.type`); never a message."""
        self.error = reason

    def link(self, traceparent: str) -> None:
        """Point at the span that this traceparent names."""
        if context := remote({"traceparent": traceparent}):
            self.links = (*self.links, Link(context))


# What runs outside of requests belongs to no trace.
OUTSIDE = Span(Trace(""), "")
_current: ContextVar[Span] = ContextVar("span")


def current() -> Span:
    """The span that the running code belongs to; one of no trace outside of requests."""
    return _current.get(OUTSIDE)


def span(name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> Span:
    """A child of the current span."""
    parent = _current.get(OUTSIDE)
    return Span(parent.trace, name, parent=parent.context if parent.id else None, kind=kind)


def note(**facts: Fact) -> None:
    """Say something of the current request, on its server span (`relay.` before it) and line."""
    trace = _current.get(OUTSIDE).trace
    if trace.counted:
        trace.facts.update(facts)


def propagated() -> dict[str, str]:
    """The headers that take the current span's context to a target. Never baggage."""
    span = _current.get(OUTSIDE)
    if not span.trace.id:
        return {}
    headers = {"traceparent": span.traceparent}
    if span.trace.state:
        headers["tracestate"] = span.trace.state.to_header()
    return headers


def remote(carrier: Mapping[str, str]) -> SpanContext | None:
    """The span that a caller names; None unless it is well-formed (W3C Trace Context, 3.2)."""
    found = get_current_span(_propagator.extract(carrier, Context())).get_span_context()
    return found if found.is_valid else None


def random_id(bits: int) -> int:
    """Never 0, which W3C Trace Context calls invalid."""
    return random.getrandbits(bits) or random_id(bits)
