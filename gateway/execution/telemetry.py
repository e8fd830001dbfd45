"""Metrics, spans and the log line of reservations, runs and replays."""

import logging

from gateway.execution.documents import Origin
from gateway.outcomes import RunStatus
from gateway.telemetry import metrics
from gateway.telemetry.logs import log_event
from gateway.telemetry.spans import Field, annotate, current, remote
from stores.redis.limits import Limited
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import Expired, KeyTaken, Reservation, Reserved, Run

ANSWERS = {
    Reserved: "reserved",
    KeyTaken: "taken",
    Expired: "expired",
    Spent: "spent",
    NoPreview: "no_preview",
    Limited: "limited",
    type(None): "unavailable",
}

log = logging.getLogger("relay.run")


def reserved(answer: object) -> None:
    """Count the store's answer; None where there was none."""
    if current().trace.counted:
        metrics.counter(metrics.reservations, ANSWERS[type(answer)]).inc()


def limited(bound: str) -> None:
    """Count a refusal. `bound`: the limit that was reached."""
    if current().trace.counted:
        metrics.counter(metrics.limited, bound).inc()


def ended(reservation: Reservation, origin: Origin, run: RunStatus, seconds: float) -> None:
    """Count and log one run. `seconds`: from the start of the send to its outcome."""
    trace = current().trace
    if not trace.counted:
        return
    provider, action = origin.provider, origin.action
    executed = metrics.counter(metrics.executions, provider, action, run.status)
    executed.inc(exemplar=trace.exemplar)
    duration = metrics.histogram(metrics.execution_duration, provider, action)
    duration.observe(seconds, trace.exemplar)
    if run.reason:
        metrics.execution_errors.labels(provider, action, run.reason).inc()
    fields: dict[str, Field] = {
        "run_id": reservation.run_id,
        "preview_id": reservation.preview_id,
        "action": action,
        "outcome": run.status,
    }
    annotate(**fields)
    reason: dict[str, Field] = {"reason": run.reason} if run.reason else {}
    log_event(log, "run.ended", fields | reason | {"duration_ms": round(seconds * 1000, 1)})


def replayed(run: Run, origin: Origin) -> None:
    """Count a replay, and link the request's trace to the trace of the run."""
    span = current()
    status = "unknown" if run.interrupted else run.state
    if span.trace.record and run.traceparent:
        span.link(remote({"traceparent": run.traceparent}))
    annotate(
        replayed=True,
        run_id=run.id,
        preview_id=run.preview_id,
        action=origin.action,
        outcome=status,
    )
    if span.trace.counted:
        metrics.counter(metrics.replays, origin.provider, origin.action, status).inc()
