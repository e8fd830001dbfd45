"""What is counted and said of reservations, runs and replays."""

import logging

from gateway.execution.documents import Origin
from gateway.outcomes import Verdict
from gateway.telemetry import metrics
from gateway.telemetry.logs import say
from gateway.telemetry.spans import Fact, current, note, remote
from stores.redis.limits import Limited
from stores.redis.previews import NoPreview, Spent
from stores.redis.reservations import Expired, Reservation, Reserved, Run, Taken

ANSWERS = {
    Reserved: "reserved",
    Taken: "taken",
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


def ended(claim: Reservation, origin: Origin, verdict: Verdict, seconds: float) -> None:
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
    facts: dict[str, Fact] = {
        "run_id": claim.run_id,
        "preview_id": claim.preview_id,
        "action": action,
        "outcome": verdict.status,
    }
    note(**facts)
    why: dict[str, Fact] = {"reason": verdict.reason} if verdict.reason else {}
    say(log, "run.ended", facts | why | {"duration_ms": round(seconds * 1000, 1)})


def replayed(run: Run, origin: Origin) -> None:
    """Point from this request at the trace of the run whose answer it gets."""
    span = current()
    status = "unknown" if run.interrupted else run.state
    if span.trace.record and run.traceparent:
        span.link(remote({"traceparent": run.traceparent}))
    note(
        replayed=True,
        run_id=run.id,
        preview_id=run.preview_id,
        action=origin.action,
        outcome=status,
    )
    if span.trace.counted:
        metrics.counter(metrics.replays, origin.provider, origin.action, status).inc()
