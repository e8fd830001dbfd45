"""What Relay counts, under which labels, and how a scraper reads it."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import parser as plain_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from tests.support.checks import CHECKS
from tests.support.collector import Collector
from tests.support.gateways import Relay, gateway
from tests.support.held import held
from tests.support.observed import Lines, Traced
from tests.support.target import Target, reset, status
from tests.support.valkey import Valkey
from tests.telemetry.test_traces import linked

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
WEBHOOK = {"provider": "independent", "action": "webhook.save"}
openmetrics: Any = openmetrics_parser.text_string_to_metric_families
plain: Any = plain_parser.text_string_to_metric_families


class Count:
    """What was counted since this object was made; instruments belong to the process."""

    def __init__(self, relay: Relay, before: dict[Any, float]) -> None:
        self._relay, self._before = relay, before

    @classmethod
    async def begin(cls, relay: Relay) -> "Count":
        return cls(relay, await samples(relay))

    async def of(self, name: str, **labels: str) -> float:
        now = await samples(self._relay)
        key = (name, frozenset(labels.items()))
        return now.get(key, 0.0) - self._before.get(key, 0.0)


async def samples(relay: Relay) -> dict[Any, float]:
    text = (await relay.get("/metrics", headers=OPENMETRICS)).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in openmetrics(text)
        for sample in family.samples
    }


async def test_an_execution_is_counted_once(relay: Relay, target: Target) -> None:
    """One execution, one send and one reservation; the replays count as replays."""
    count = await Count.begin(relay)
    preview_id = await relay.preview_id(target.url)
    for _ in range(3):
        await relay.execute(preview_id, "k-1")

    assert await count.of("action_exec_total", **WEBHOOK, status="success") == 1
    assert await count.of("action_latency_seconds_count", **WEBHOOK) == 1
    assert await count.of("action_replay_total", **WEBHOOK, status="success") == 2
    assert await count.of("relay_run_reservations_total", answer="reserved") == 1
    assert await count.of("relay_run_reservations_total", answer="taken") == 2
    executed = {"endpoint": "/actions/execute", "method": "POST"}
    assert await count.of("http_requests_total", **executed, status_code="200") == 3
    assert await count.of("http_request_duration_seconds_count", **executed) == 3


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (status(500), "failed", "target_status"),
        (reset, "unknown", "no_response"),
        (None, "not_sent", "target_unreachable"),
    ],
)
async def test_failures_are_counted_by_reason(
    relay: Relay, target: Target, lines: Lines, answer: Any, outcome: str, reason: str
) -> None:
    """In the counts of executions and of errors, and in the log line of the run."""
    count = await Count.begin(relay)
    target.answer = answer
    url = target.url if answer else "http://127.0.0.1:1/hook"
    await relay.execute(await relay.preview_id(url))

    assert await count.of("action_exec_total", **WEBHOOK, status=outcome) == 1
    assert await count.of("action_error_total", **WEBHOOK, reason=reason) == 1
    assert await count.of("action_exec_total", **WEBHOOK, status="success") == 0
    [line] = lines.of("run.ended")
    assert (line["outcome"], line["reason"]) == (outcome, reason)


async def test_an_outdated_approval_is_a_reason_of_its_own(
    relay: Relay, target: Target, lines: Lines, valkey: Valkey, tmp_path: Path
) -> None:
    """Not that the target was unreachable: the policy has become stricter since the preview."""
    policy = tmp_path / "policy.toml"
    policy.write_text('default = "approve"')
    preview_id = await relay.preview_id(target.url)
    async with gateway(valkey.url, approval_policy=policy) as strict:
        count = await Count.begin(strict)
        assert (await strict.execute(preview_id)).status_code == 409
        reason = "approval_outdated"
        assert await count.of("action_error_total", **WEBHOOK, reason=reason) == 1
        assert await count.of("action_error_total", **WEBHOOK, reason="target_unreachable") == 0
    [line] = lines.of("run.ended")
    assert (line["outcome"], line["reason"]) == ("not_sent", reason)


async def test_refusals_are_counted_by_reason(relay: Relay) -> None:
    """The label is the guard's reason, one of few."""
    count = await Count.begin(relay)
    for url in ("https://10.0.0.1/", "https://192.168.0.1/", "https://localhost/"):
        assert (await relay.preview(url)).status_code == 422
    assert await count.of("relay_guard_refusals_total", reason="ip_not_public") == 2
    assert await count.of("relay_guard_refusals_total", reason="host_single_label") == 1


async def test_runs_in_flight_are_counted(relay: Relay, target: Target) -> None:
    """One while the target holds its response back, none afterwards."""
    count = await Count.begin(relay)
    running = await held(relay, target, "k-1")
    assert await count.of("relay_runs_in_flight") == 1
    await running.end()
    assert await count.of("relay_runs_in_flight") == 0


@pytest.mark.parametrize("path", ["/nowhere", "/wp-admin/x.php", "/runs/1/2", "/actions/"])
async def test_unknown_paths_share_a_label(relay: Relay, path: str) -> None:
    """A scanner adds no series."""
    count = await Count.begin(relay)
    await relay.get(path)
    unmatched = {"endpoint": "unmatched", "method": "GET", "status_code": "404"}
    assert await count.of("http_requests_total", **unmatched) == 1
    assert path not in {dict(labels).get("endpoint") for _, labels in await samples(relay)}


async def test_ids_are_no_labels(relay: Relay, target: Target) -> None:
    """A request for a run counts under its route."""
    count = await Count.begin(relay)
    run = (await relay.execute(await relay.preview_id(target.url))).json()
    await relay.get(f"/runs/{run['run_id']}")
    looked = {"endpoint": "/runs/{run_id}", "method": "GET", "status_code": "200"}
    assert await count.of("http_requests_total", **looked) == 1


async def test_round_trips_to_the_store_are_observed(relay: Relay, target: Target) -> None:
    """A preview spends its quota in the call that saves it; a run reserves and settles."""
    await relay.preview_id(target.url)  # the first call connects, and loads the scripts
    count = await Count.begin(relay)
    await relay.execute(await relay.preview_id(target.url))
    assert await count.of("relay_redis_call_seconds_count") == 3
    assert await count.of("relay_redis_pipeline_calls_sum") == 3


async def test_each_check_has_a_gauge(own_valkey: Valkey) -> None:
    """1 if it passes and 0 if it fails, also in development."""
    async with gateway(own_valkey.url) as relay:
        await relay.get("/ready")
        checks = {name: ("relay_ready_check", frozenset({("check", name)})) for name in CHECKS}
        before = await samples(relay)
        assert [before[checks[name]] for name in CHECKS] == [1] * len(CHECKS)
        own_valkey.stop()
    async with gateway(own_valkey.url) as relay:
        await relay.get("/ready")
        assert (await samples(relay))[checks["store"]] == 0
    own_valkey.start()


async def test_exemplars_lead_to_traces(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """Counts and durations have them in OpenMetrics only, with the id of the request's trace."""
    async with traced() as relay:
        answer = await relay.execute(await relay.preview_id(target.url))
        scraped = await relay.get("/metrics", headers=OPENMETRICS)
        text = (await relay.get("/metrics")).text
    trace_id = linked(answer.headers["X-Trace-Link"])
    carrying = {
        family.name
        for family in openmetrics(scraped.text)
        for sample in family.samples
        if sample.exemplar and sample.exemplar.labels == {"trace_id": trace_id}
    }
    assert carrying == {
        "http_requests",
        "http_request_duration_seconds",
        "action_exec",
        "action_latency_seconds",
    }
    assert "openmetrics" in scraped.headers["Content-Type"]
    assert trace_id not in text
    assert "http_requests" in {family.name for family in plain(text)}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, True),
        ({"telemetry_backend": "prom"}, True),
        ({"telemetry_backend": "otel"}, False),
        ({"telemetry_backend": "none"}, False),
        ({"telemetry_enabled": False}, False),
    ],
)
async def test_metrics_follow_the_settings(
    traced: Traced, collector: Collector, settings: dict[str, Any], kept: bool
) -> None:
    """Without metrics, /metrics is 404 and names the setting."""
    async with traced(**settings) as relay:
        answer: httpx2.Response = await relay.get("/metrics")
        await relay.get("/version")
    assert answer.status_code == (200 if kept else 404)
    assert kept or "TELEMETRY_" in answer.json()["detail"]
    spans = settings.get("telemetry_backend", "all") in ("otel", "all")
    wanted = spans and settings.get("telemetry_enabled", True)
    assert ("GET /version" in {span.name for span in collector.spans}) is wanted


async def test_edges_of_the_objectives_are_buckets(relay: Relay, target: Target) -> None:
    """With buckets at 0.05 and 1.2 s, an objective is an exact ratio."""
    await relay.execute(await relay.preview_id(target.url))
    edges = {
        dict(labels)["le"]
        for name, labels in await samples(relay)
        if name in ("http_request_duration_seconds_bucket", "action_latency_seconds_bucket")
    }
    assert {"0.05", "1.2"} <= edges


async def test_every_5xx_series_is_there_from_the_start(relay: Relay) -> None:
    """They start at 0, because `increase()` does not see the first sample of a series."""
    count = await Count.begin(relay)
    labels = {"endpoint": "/actions/execute", "method": "POST", "status_code": "502"}
    assert await count.of("http_requests_total", **labels) == 0
    series = {frozenset(dict(labels).items()) for _, labels in await samples(relay)}
    assert frozenset(labels.items()) in series
