"""Alerts and dashboard query existing metrics only, and all of them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gateway.api.routes import ENDPOINTS
from tests.support.stack.contract import HISTOGRAMS, labels
from tests.support.stack.files import DEPLOY, dashboard_queries, panels, rules, run, yaml
from tests.support.stack.promql import Named, named

RECORDED = {rule["record"] for rule in rules() if "record" in rule}
CASES = (
    *("alerts_test.yml", "alerts_slow_test.yml"),
    *("alerts_access_test.yml", "alerts_approvals_test.yml"),
    "alerts_connections_test.yml",
)
QUERIES = [*dashboard_queries(), *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", Named({"up": set()}, set())),
        ('sum by (job) (up{job="relay"}) or vector(0)', Named({"up": {"job"}}, {"job"})),
        ('a{b=~"/x/{y}|c",d!="e"} / on (f) g:h', Named({"a": {"b", "d"}, "g:h": set()}, {"f"})),
        ("sum(rate(a_b[5m:1m])) > 14.4 * 0.001", Named({"a_b": set()}, set())),
        ('a{b="c"} unless a offset 15m', Named({"a": {"b"}}, set())),
        ("time() - a < 1e3", Named({"a": set()}, set())),
    ],
)
def test_names_are_found_in_an_expression(expression: str, expected: Named) -> None:
    """Also with braces in strings, without braces, and beside functions and durations."""
    assert named(expression) == expected


@pytest.mark.parametrize("expression", QUERIES)
def test_every_metric_and_label_of_a_query_exists(expression: str) -> None:
    """A rule records it, or a gateway emits it with these labels."""
    emitted, found = labels(), named(expression)
    assert found.metrics
    for metric, matched in found.metrics.items():
        assert metric in RECORDED | emitted.keys()
        assert matched <= emitted.get(metric, {"job"})
    known = set[str]().union(*(emitted.get(metric, {"job"}) for metric in found.metrics))
    assert found.grouped <= known


def endpoints_named() -> Iterator[str]:
    for expression in QUERIES:
        for part in expression.split('endpoint=~"')[1:]:
            yield from part.split('"')[0].split("|")
        for part in expression.split('endpoint!~"')[1:]:
            yield from part.split('"')[0].split("|")


def test_every_endpoint_of_a_query_is_a_route() -> None:
    """The label holds the template of the route."""
    paths = {endpoint.path for endpoint in ENDPOINTS}
    assert {*endpoints_named()} <= paths
    assert len({*endpoints_named()}) == 9


def test_every_metric_is_used() -> None:
    """By the dashboard or an alert."""
    looked_at = {metric for query in QUERIES for metric in named(query).metrics}
    counted = {name for name in labels() if not name.endswith(("_bucket", "_count", "_sum"))}
    counted |= {f"{name}_count" for name in HISTOGRAMS if name == "relay_redis_pipeline_calls"}
    counted |= {f"{name}_bucket" for name in HISTOGRAMS if name != "relay_redis_pipeline_calls"}
    assert counted <= looked_at


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    """promtool parses each as the expression of a rule."""
    queries = [*dashboard_queries()]
    asked = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    YAML().dump({"groups": [{"name": "dashboard", "rules": asked}]}, file)
    assert f"SUCCESS: {len(queries)} rules found" in run("promtool", "check", "rules", file)


def test_prometheus_accepts_its_configuration() -> None:
    """`promtool check config` also checks the rules."""
    assert f"SUCCESS: {len(rules())} rules found" in run(
        "promtool", "check", "config", DEPLOY / "prometheus.yml"
    )


@pytest.mark.parametrize("file", CASES)
def test_alerts_pass_their_cases(file: str) -> None:
    """`promtool test rules` runs the files of cases."""
    assert "SUCCESS" in run("promtool", "test", "rules", file)


def alerts() -> list[str]:
    return [rule["alert"] for rule in rules() if "alert" in rule]


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_both_kinds_of_case(alert: str) -> None:
    """It fires in one and does not in another."""
    cases = [
        check["exp_alerts"]
        for file in CASES
        for test in yaml(DEPLOY / file)["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == alert
    ]
    assert [] in cases
    assert any(cases)


@pytest.mark.parametrize("rule", [rule for rule in rules() if "alert" in rule])
def test_every_alert_has_a_runbook(rule: dict[str, dict[str, str]]) -> None:
    """A summary, a description, a runbook and a severity."""
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_latency_panels_show_exemplars() -> None:
    """A dot leads to its trace. Approvals end outside of the trace of their preview."""
    asked = [t for panel in panels() for t in panel.get("targets", []) if "expr" in t]
    latencies = [t for t in asked if "seconds_bucket" in t["expr"] and "[20s]" not in t["expr"]]
    own = [t for t in latencies if not re.search("redis|approval", t["expr"])]
    graphs = [t for t in own if "$__rate_interval" in t["expr"]]
    assert len(graphs) == 5
    assert all(target["exemplar"] for target in graphs)
