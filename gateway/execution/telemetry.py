"""What is counted and said of reservations, runs and replays."""

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
    """`answer`: the store's; None when it gave none."""
    if current().trace.counted:
        metrics.counter(metrics.reservations, ANSWERS[type(answer)]).inc()


def limited(bound: str) -> None:
    """`bound`: of the key, the workspace, all runs at once or those of a target."""
    if current().trace.counted:
        metrics.counter(metrics.limited, bound).inc()


def ended(reservation: Reservation, origin: Origin, verdict: RunStatus, seconds: float) -> None:
    """One line and one count an execution. `seconds`: from the start of the send to its outcome."""
    trace = current().trace
    if not trace.counted:
        return
    provider, action = origin.provider, origin.action
    executed = metrics.counter(metrics.executions, provider, action, verdict.status)
    executed.inc(exemplar=trace.exemplar)
    lasted = metrics.histogram(metrics.execution_duration, provider, action)
    lasted.observe(seconds, trace.exemplar)
    if verdict.reason:
        metrics.execution_errors.labels(provider, action, verdict.reason).inc()
    fields: dict[str, Field] = {
        "run_id": reservation.run_id,
        "preview_id": reservation.preview_id,
        "action": action,
        "outcome": verdict.status,
    }
    annotate(**fields)
    why: dict[str, Field] = {"reason": verdict.reason} if verdict.reason else {}
    log_event(log, "run.ended", fields | why | {"duration_ms": round(seconds * 1000, 1)})


def replayed(run: Run, origin: Origin) -> None:
    """Point from this request at the trace of the run whose answer it gets."""
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
