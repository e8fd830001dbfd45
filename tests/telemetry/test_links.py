"""Trace links have the form that Grafana, Jaeger and others expect."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.telemetry.links import TraceLinks, grafana
from tests.support.observed import Traced
from tests.support.target import Target

TRACE_ID = "00f067aa0ba902b7a3ce929d0e0e4736"


def panes(link: str) -> dict[str, Any]:
    """Parse a link like Grafana (schema version 1): objects by pane id, ranges as strings."""
    url = urlsplit(link)
    query = parse_qs(url.query, strict_parsing=True)
    assert (url.path, query["schemaVersion"], query["orgId"]) == ("/explore", ["1"], ["1"])
    assert set(query) == {"schemaVersion", "panes", "orgId"}
    parsed: dict[str, Any] = json.loads(query["panes"][0])
    return parsed


def test_a_grafana_link_opens_the_trace() -> None:
    """It has one pane with the uid of the data source; its TraceQL is the trace id."""
    template = grafana("https://g.example.com/", datasource="tempo-1")
    link = TraceLinks(template).to(TRACE_ID, 1, "r-1")
    assert link
    assert link.isascii()
    assert " " not in link
    assert link.startswith("https://g.example.com/explore?")
    [(pane, shown)] = panes(link).items()
    assert len(pane) == 3
    assert shown["datasource"] == "tempo-1"
    assert shown["range"] == {"from": "now-6h", "to": "now"}
    [asked] = shown["queries"]
    assert asked["refId"] == "A"
    assert asked["datasource"] == {"type": "tempo", "uid": "tempo-1"}
    assert (asked["queryType"], asked["query"]) == ("traceql", TRACE_ID)


def test_a_search_is_linked_the_same_way() -> None:
    """Braces and quotes of TraceQL survive; they are no fields of the template."""
    query = '{ span.relay.request_id = "r-1" }'
    link = TraceLinks(grafana("https://g.example.com", datasource="t", query=query)).to("", 0, "")
    assert link
    assert panes(link)["trc"]["queries"][0]["query"] == query


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("https://j.example/trace/{trace_id}", f"https://j.example/trace/{TRACE_ID}"),
        (
            "https://j.example/{trace_id}?uiFind={span_id}&r={request_id}#{trace_id}",
            f"https://j.example/{TRACE_ID}?uiFind=000000000000000a&r=r-1#{TRACE_ID}",
        ),
        ("https://logs.example/?q={request_id}", "https://logs.example/?q=r-1"),
        (None, None),
    ],
)
def test_any_other_link_is_a_template(template: str | None, link: str | None) -> None:
    """Fields may stand anywhere. Without a template there is no link."""
    assert TraceLinks(template).to(TRACE_ID, 10, "r-1") == link


@pytest.mark.parametrize(
    ("env", "template"),
    [
        ({}, None),
        ({"TEMPO_DATASOURCE_UID": "t"}, None),
        ({"GRAFANA_URL": "https://g.example"}, grafana("https://g.example", datasource="tempo")),
        (
            {"GRAFANA_URL": "https://g.example", "TEMPO_DATASOURCE_UID": "t-2"},
            grafana("https://g.example", datasource="t-2"),
        ),
        (
            {"GRAFANA_URL": "https://g.example", "TRACE_LINK_TEMPLATE": "https://j/{trace_id}"},
            "https://j/{trace_id}",
        ),
    ],
)
def test_the_template_wins_over_grafana(env: dict[str, str], template: str | None) -> None:
    """Either of them is enough."""
    assert Settings.from_env(env).trace_link == template


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TRACE_LINK_TEMPLATE", "https://j.example/"),
        ("TRACE_LINK_TEMPLATE", "https://j.example/{trace}"),
        ("TRACE_LINK_TEMPLATE", "https://j.example/{trace_id}}"),
        ("TRACE_LINK_TEMPLATE", "ftp://j.example/{trace_id}"),
        ("TRACE_LINK_TEMPLATE", "https://j.example/{trace_id}\r\nSet-Cookie: a=b"),
        ("GRAFANA_URL", "grafana:3000"),
        ("GRAFANA_URL", "https://g.example/ü"),
        ("GRAFANA_URL", "https://g.example/?orgId=2"),
        ("GRAFANA_URL", "https://g.example/#x"),
        ("TEMPO_DATASOURCE_UID", 'te"mpo'),
        ("TELEMETRY_BACKEND", "prometheus"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
def test_an_invalid_link_prevents_the_start(variable: str, text: str) -> None:
    """The error names the variable."""
    with pytest.raises(SettingsError, match=variable):
        Settings.from_env({variable: text})


@pytest.mark.parametrize(("ratio", "linked"), [("1", True), ("0", False)])
async def test_an_unsampled_trace_has_no_link(
    traced: Traced, target: Target, monkeypatch: pytest.MonkeyPatch, ratio: str, linked: bool
) -> None:
    """A link to it would open nothing."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    async with traced() as relay:
        answer = await relay.execute(await relay.preview_id(target.url))
    assert ("X-Trace-Link" in answer.headers) is linked
    assert (answer.json()["trace_link"] is not None) is linked
    assert target.deliveries[0].header("traceparent").endswith("-01" if linked else "-00")


@pytest.mark.parametrize(
    "settings",
    [
        {"telemetry_enabled": False},
        {"telemetry_backend": "none"},
        {"telemetry_backend": "prom"},
        {"otel_disabled": True},
        {"grafana_url": None},
    ],
)
async def test_without_traces_or_grafana_there_is_no_link(
    traced: Traced, target: Target, settings: dict[str, Any]
) -> None:
    """The request works as usual."""
    async with traced(**settings) as relay:
        answer = await relay.execute(await relay.preview_id(target.url))
    assert (answer.status_code, answer.json()["trace_link"]) == (200, None)
    assert "X-Trace-Link" not in answer.headers
