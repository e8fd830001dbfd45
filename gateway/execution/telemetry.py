"""Metrics, spans and the log line of reservations, runs and replays."""

import logging
from typing import NamedTuple

from gateway.execution.documents import Origin
from gateway.outcomes import INTERRUPTED, Outcome, RunStatus, run_status
from gateway.telemetry import metrics
from gateway.telemetry.logs import log_event
from gateway.telemetry.spans import Field, annotate, current, kept
from stores.redis.limits import Limited
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import (
    Expired,
    KeyTaken,
    Lost,
    NotApproved,
    Released,
    Reservation,
    Reserved,
    Run,
    Settled,
    Suspended,
)

ANSWERS = {
    Reserved: "reserved",
    KeyTaken: "taken",
    Expired: "expired",
    Spent: "spent",
    NoPreview: "no_preview",
    NotApproved: "not_approved",
    Suspended: "suspended",
    Limited: "limited",
    type(None): "unavailable",
}

log = logging.getLogger("relay.run")


def reserved(answer: object) -> None:
    """Count the store's answer; None where there was none."""
    if current().trace.counted:
        metrics.counter(metrics.reservations, ANSWERS[type(answer)]).inc()


def released(reservation: Reservation, recorded: object) -> None:
    """Log a run that could not be given back: it is `unknown`, although nothing was sent."""
    if isinstance(recorded, Lost):
        log.warning("run.lost", extra={"fields": {"run_id": reservation.run_id}})


def limited(bound: str) -> None:
    """Count a refusal. `bound`: the limit that was reached."""
    if current().trace.counted:
        metrics.counter(metrics.limited, bound).inc()


class Sent(NamedTuple):
    """A run after its send. `seconds`: from the start of the send to its outcome."""

    reservation: Reservation
    origin: Origin
    outcome: Outcome
    seconds: float


def annotate_run(sent: Sent, run: RunStatus) -> dict[str, Field]:
    """Add the run to the request's line and span; these fields."""
    fields: dict[str, Field] = {
        "run_id": sent.reservation.run_id,
        "preview_id": sent.reservation.preview_id,
        "action": sent.origin.action,
        "outcome": run.status,
    }
    annotate(**fields)
    return fields


def ended(sent: Sent, recorded: object) -> None:
    """Count and log one run as its record has it. `recorded`: the store's answer to its end. A run
    whose end was not stored within its lease is `unknown`, whatever the target answered. Runs
    that `collect.lua` and the maintenance end are in the audit alone.
    """
    run = run_status(sent.outcome)
    if not isinstance(recorded, Settled | Released):
        log.warning("run.lost", extra={"fields": {"run_id": sent.reservation.run_id}})
        run = INTERRUPTED
    trace = current().trace
    if not trace.counted:
        return
    provider, action = sent.origin.provider, sent.origin.action
    executed = metrics.counter(metrics.executions, provider, action, run.status)
    executed.inc(exemplar=trace.exemplar)
    duration = metrics.histogram(metrics.execution_duration, provider, action)
    duration.observe(sent.seconds, trace.exemplar)
    if run.reason:
        metrics.execution_errors.labels(provider, action, run.reason).inc()
    reason: dict[str, Field] = {"reason": run.reason} if run.reason else {}
    duration_ms: dict[str, Field] = {"duration_ms": round(sent.seconds * 1000, 1)}
    log_event(log, "run.ended", annotate_run(sent, run) | reason | duration_ms)


def replayed(run: Run, origin: Origin) -> None:
    """Count a replay, and link the request's trace to the trace of the run."""
    span = current()
    status = run.status
    if span.trace.record:
        span.link(kept(run.traceparent))
    annotate(
        replayed=True,
        run_id=run.id,
        preview_id=run.preview_id,
        action=origin.action,
        outcome=status,
    )
    if span.trace.counted:
        metrics.counter(metrics.replays, origin.provider, origin.action, status).inc()
