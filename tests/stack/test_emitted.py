"""A gateway emits the metrics that alerts, dashboard and gate query."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.checks import CHECKS
from tests.support.gateways import Relay, client, gateway_process
from tests.support.mcp import Agent
from tests.support.stack.contract import HISTOGRAMS, METRICS, labels
from tests.support.stack.files import ROOT
from tests.support.target import Target, reset, status
from tests.support.valkey import Valkey

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
POLICY = '[[rule]]\nname = "puts"\nwhen = { methods = ["PUT"] }\nneed = {}'
LIGHT = {"/actions", "/actions/preview", "/previews/{preview_id}", "/runs/{run_id}", "/version"}


class Emitted(NamedTuple):
    labels: dict[str, set[str]]
    values: dict[str, set[str]]
    exemplars: set[str]


async def every_kind(relay: Relay, target: Target) -> None:
    """Runs with every outcome, replays, conflicts, wrong requests, reads and an approval."""
    ran = await relay.preview_id(target.url)
    run = (await relay.execute(ran, "order-1")).json()
    await relay.execute(ran, "order-1")
    await relay.execute(ran, "order-2")
    await relay.execute("none", "order-3")
    for number, answer in enumerate((status(500), reset)):
        target.answer = answer
        await relay.execute(await relay.preview_id(target.url), f"ending-{number}")
    await relay.execute(await relay.preview_id("http://127.0.0.1:1/"), "order-4")
    await relay.preview("http://169.254.169.254/")
    for path in (
        "/actions",
        "/version",
        "/health",
        "/ready",
        "/metrics",
        "/nothing",
        "/openapi.json",
    ):
        await relay.get(path)
    await Agent(relay).call("get_run", run_id=run["run_id"])
    held = await relay.preview(target.url, method="PUT")
    await relay.delete(f"/approvals/{held.json()['preview_id']}")
    await relay.get(f"/previews/{ran}")
    await relay.get(f"/runs/{run['run_id']}")


async def emitted(relay: Relay) -> Emitted:
    answer = await relay.get("/metrics", headers={"Accept": OPEN_METRICS})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    found = Emitted({}, {}, set())
    for family in text_string_to_metric_families(answer.text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            name = family.name if family.type == "histogram" else sample.name
            found.labels.setdefault(name, set()).update(sample.labels.keys() - {"le"})
            for label, value in sample.labels.items():
                found.values.setdefault(f"{name}.{label}", set()).add(value)
            if sample.exemplar:
                assert sample.exemplar.labels.keys() == {"trace_id"}
                found.exemplars.add(name)
    return found


@pytest.fixture
async def seen(valkey: Valkey, target: Target, tmp_path: Path) -> Emitted:
    (tmp_path / "policy.toml").write_text(POLICY)
    env = {"REDIS_URL": valkey.url, "RELAY_APPROVAL_POLICY": str(tmp_path / "policy.toml")}
    with gateway_process(env) as process:
        async with client(process.url) as relay:
            await every_kind(relay, target)
            return await emitted(relay)


async def test_a_gateway_emits_what_queries_name(seen: Emitted) -> None:
    """Every metric has exactly these labels, buckets at the objectives, and exemplars where a graph
    leads to traces.
    """
    found = {name: seen.labels.get(name) for name in METRICS}
    assert found == METRICS
    assert seen.labels.keys() >= HISTOGRAMS
    assert "0.05" in seen.values["http_request_duration_seconds.le"]
    assert "1.2" in seen.values["action_latency_seconds.le"]
    assert seen.values["http_requests_total.endpoint"] >= LIGHT | {"/actions/execute", "unmatched"}
    assert seen.values["action_exec_total.status"] == {"success", "failed", "unknown", "not_sent"}
    assert seen.values["relay_approvals_total.state"] == {"requested", "cancelled"}
    outcomes = {"sent", "failed", "refused", "given_up", "superseded"}
    assert seen.values["relay_approval_notices_total.outcome"] == outcomes
    assert seen.values["action_exec_total.action"] == {"webhook.save"}
    assert seen.values["relay_ready_check.check"] == set(CHECKS)
    assert seen.values["relay_rate_limited_total.limit"] == {"key", "workspace", "runs", "target"}
    assert seen.exemplars == {
        *("http_request_duration_seconds", "action_latency_seconds"),
        *("http_requests_total", "action_exec_total"),
    }


def test_the_gate_queries_emitted_metrics() -> None:
    """Each metric that its files name exists."""
    sources = [file.read_text() for file in (ROOT / "gateway" / "cli" / "gate").glob("*.py")]
    named = {name for text in sources for name in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', text)}
    asked = {name for name in named if name.endswith(("_total", "_bucket", "_bytes", "_seconds"))}
    assert len(asked) >= 6
    assert asked <= labels().keys()
