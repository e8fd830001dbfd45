"""Every instrument of Relay, and the text that a scraper reads.

A test compares the metrics that the dashboard, the alerts and the gate query with those that a
gateway emits. A new route appears in them by itself.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import cache
from typing import Literal, get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from gateway.version import VERSION
from stores.redis.limits import Bound
from stores.redis.notices import Event
from stores.redis.server.health import Check
from stores.sql.connections import State

# What becomes of an attempt to send a notice; `superseded`: nothing was left to decide.
NoticeOutcome = Literal["sent", "failed", "refused", "given_up", "superseded"]
PROVIDERS = ("google", "microsoft", "slack", "github")
# What becomes of a refresh; `needs_reauth`: the provider has ended the grant; `misconfigured`: it
# does not accept Relay's own registration.
RefreshResult = Literal["refreshed", "needs_reauth", "misconfigured", "unavailable"]
# Seconds. 0.05 and 1.2 are the objectives; 10 and 20 are on both sides of a send's deadline.
DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.2, 2.5, 5, 10, 20, 40)
# Seconds. A round trip takes a tenth of a millisecond on loopback; the client gives up at 0.8 s.
ROUND_TRIPS = (0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5)

build = Info("relay_build", "The version of this gateway.")
build.info({"version": VERSION})

http_requests = Counter(
    "http_requests",
    "How many requests were answered; 499 means that the client had gone.",
    ["endpoint", "method", "status_code"],
)
http_duration = Histogram(
    "http_request_duration_seconds",
    "How long a request took, to the end of its response.",
    ["endpoint", "method"],
    buckets=DURATIONS,
)
executions = Counter(
    "action_exec",
    "How many executions ended, by outcome; replays are not counted.",
    ["provider", "action", "status"],
)
execution_errors = Counter(
    "action_error",
    "How many executions did not succeed, by reason.",
    ["provider", "action", "reason"],
)
execution_duration = Histogram(
    "action_latency_seconds",
    "How long a send took, from its start to its outcome.",
    ["provider", "action"],
    buckets=DURATIONS,
)
replays = Counter(
    "action_replay",
    "How many requests were answered from a stored run.",
    ["provider", "action", "status"],
)
tool_calls = Counter(
    "relay_tool_calls",
    "How many calls of tools were answered, by what they say: a result or an error.",
    ["tool", "answer"],
)
reservations = Counter(
    "relay_run_reservations",
    "How many reservations of an idempotency key were tried, by Redis's answer.",
    ["answer"],
)
runs_in_flight = Gauge(
    "relay_runs_in_flight", "How many runs this process has started and not finished."
)
refusals = Counter(
    "relay_guard_refusals",
    "How many targets the guard refused, at a preview or at a send.",
    ["reason"],
)
suspensions = Counter(
    "relay_target_suspensions",
    "How many times a target was suspended because it could not be connected to.",
)
suspended_targets = Gauge(
    "relay_suspended_targets", "How many targets this process does not try at the moment."
)
redis_calls = Histogram(
    "relay_redis_call_seconds", "How long a round trip to Redis took.", buckets=ROUND_TRIPS
)
pipelines = Histogram(
    "relay_redis_pipeline_calls",
    "How many calls shared a round trip to Redis.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
limited = Counter(
    "relay_rate_limited",
    "How many requests exceeded a limit, by limit.",
    ["limit"],
)
outbox_entries = Gauge(
    "relay_audit_outbox_entries",
    "How many audit entries waited for the database at the last check.",
)
outbox_oldest = Gauge(
    "relay_audit_outbox_oldest_seconds", "How long the oldest of them had waited at the last check."
)
audit_chain_broken = Gauge(
    "relay_audit_chain_broken",
    "Whether an audit chain could not be continued at the last turn: 1 or 0.",
)
audit_broken_chains = Gauge(
    "relay_audit_broken_chains", "How many audit chains failed their last verification."
)
approvals = Counter(
    "relay_approvals",
    "How many approvals were asked for, decided and ended, by state.",
    ["action", "state"],
)
approval_rules = Counter(
    "relay_approval_rules",
    "How many approvals that a rule asked for have ended, by state.",
    ["rule", "state"],
)
approval_duration = Histogram(
    "relay_approval_seconds",
    "How long an approval waited, from the preview to the decision.",
    ["action", "state"],
    buckets=(1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600),
)
approvals_pending = Gauge(
    "relay_approvals_pending", "How many approvals waited for a decision at the last sweep."
)
approvals_used = Gauge(
    "relay_approvals_used_ratio",
    "How much of its time to decide had passed for the approval with the next deadline.",
)
approval_notices = Counter(
    "relay_approval_notices",
    "How many attempts to send a notice of an approval were made, by outcome.",
    ["event", "outcome"],
)
studio_streams = Gauge(
    "relay_studio_streams", "How many streams of events are open at this process."
)
policy_errors = Counter(
    "relay_policy_errors", "How many times a policy failed while it decided, and so denied."
)
assertions_refused = Counter(
    "relay_assertions_refused",
    "How many assertions of the identity-aware proxy were refused, by reason.",
    ["reason"],
)
issuer_reads = Counter(
    "relay_issuer_reads", "How many times the keys of the identity issuer were read.", ["outcome"]
)
oauth_refreshes = Counter(
    "relay_oauth_refresh",
    "How many times an access token was asked for with a refresh token, by result.",
    ["provider", "result"],
)
connections = Gauge(
    "relay_connections",
    "How many connections all workspaces have, by state.",
    ["provider", "state"],
)
audit_shipped = Counter(
    "relay_audit_entries_shipped", "How many audit entries this process wrote to the database."
)
audit_dropped = Counter(
    "relay_audit_entries_dropped",
    "How many refusals and reads the audit counted without an entry of their own.",
)
ready = Gauge(
    "relay_ready_check", "How each check of /ready ended: 1 if it passed, else 0.", ["check"]
)
spans_dropped = Counter(
    "relay_spans_dropped", "How many spans were lost before the collector had them.", ["reason"]
)
lines_dropped = Counter(
    "relay_log_lines_dropped",
    "How many log lines were dropped because stderr was too slow or closed.",
)
background_failures = Counter(
    "relay_background_failures", "How many times the work of a background loop failed."
)
for reason in ("queue_full", "export_failed"):
    spans_dropped.labels(reason)
for event in get_args(Event):
    for outcome in get_args(NoticeOutcome):
        approval_notices.labels(event, outcome)
for provider in PROVIDERS:
    for result in get_args(RefreshResult):
        oauth_refreshes.labels(provider, result)
for bound in get_args(Bound):
    limited.labels(bound)


openmetrics: Callable[[CollectorRegistry], bytes] = generate_openmetrics
# Labels have few values, and prometheus_client takes longer to look a child up than to count.
counter = cache(Counter.labels)
histogram = cache(Histogram.labels)


class FirstNames:
    """Labels whose names others choose: each of the first `most` is one, the rest are one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: set[str] = set()

    def __call__(self, name: str) -> str:
        if len(self._names) < self._most:
            self._names.add(name)
        return name if name in self._names else "(others)"


# Each workspace has rules, and may change their names any number of times.
rule_label = FirstNames(200)


def approval_ended(action: str, state: str, waited: timedelta, rules: Iterable[str]) -> None:
    """`rules`: those that asked for it."""
    counter(approvals, action, state).inc()
    for rule in rules:
        counter(approval_rules, rule_label(rule), state).inc()
    histogram(approval_duration, action, state).observe(waited.total_seconds())


def count_connections(counts: Mapping[tuple[str, str], int]) -> None:
    """`counts`: of those that exist, by provider and state."""
    _counted.update(counts)
    for labels in _counted:
        connections.labels(*labels).set(counts.get(labels, 0))


_counted = {(provider, state) for provider in PROVIDERS for state in get_args(State)}

count_connections({})


def checked(check: Check) -> None:
    ready.labels(check.name).set(check.verdict == "ok")


def round_trip(seconds: float, calls: int) -> None:
    redis_calls.observe(seconds)
    pipelines.observe(calls)


def exposition(accept: str) -> tuple[bytes, str]:
    """All instruments as OpenMetrics where `accept` names it, else as plain text; its media type.

    prometheus_client's own choice raises for an invalid version.
    """
    named = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if "application/openmetrics-text" in named:
        return openmetrics(REGISTRY), CONTENT_TYPE_LATEST
    return generate_latest(REGISTRY), CONTENT_TYPE_PLAIN_0_0_4
