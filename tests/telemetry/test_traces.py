"""A trace as a collector receives it: its spans, their parents and their attributes."""

import re
from typing import Any

import pytest

from tests.support.collector import Collector, Exported
from tests.support.held import held
from tests.support.observed import GRAFANA, Traced
from tests.support.target import Target, status

LINKED = re.compile(r"%22query%22%3A%22([0-9a-f]{32})%22")


def linked(link: str) -> str:
    """The trace that a link into Grafana opens."""
    assert link.startswith(f"{GRAFANA}/explore?")
    [trace_id] = LINKED.findall(link)
    return str(trace_id)


async def test_an_execution_is_five_spans(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """The server span with reserve, guard, the request to the target and settle below it."""
    async with traced() as relay:
        preview_id = await relay.preview_id(target.url)
        answer = await relay.execute(preview_id, "k-1")
    run = answer.json()
    spans = await collector.trace(linked(answer.headers["X-Trace-Link"]), 5)

    server = spans.pop("POST /actions/execute")
    assert (server.kind, server.parent) == (2, "")
    assert set(spans) == {"reserve", "guard", "POST", "settle"}
    assert {span.parent for span in spans.values()} == {server.span_id}
    assert [spans[name].kind for name in ("reserve", "guard", "POST", "settle")] == [1, 1, 3, 1]
    asked = answer.headers["X-Request-ID"]
    for span in (server, *spans.values()):
        assert span.attributes["relay.request_id"] == asked
        assert span.resource["service.name"] == "relay"
        assert 0 <= span.nanoseconds < 10**10
        assert not span.failed
    assert run["trace_link"] == answer.headers["X-Trace-Link"]
    assert {name: server.attributes[f"relay.{name}"] for name in ("run_id", "preview_id")} == {
        "run_id": run["run_id"],
        "preview_id": preview_id,
    }
    assert server.attributes["relay.action"] == "webhook.save"
    assert server.attributes["relay.outcome"] == "success"
    assert spans["POST"].attributes["relay.run_id"] == run["run_id"]


async def test_a_preview_is_two_spans(traced: Traced, collector: Collector, target: Target) -> None:
    """The server span, which has the preview's id, and guard."""
    async with traced() as relay:
        answer = await relay.preview(target.url)
    spans = await collector.trace(linked(answer.headers["X-Trace-Link"]), 2)
    assert set(spans) == {"POST /actions/preview", "guard"}
    said = spans["POST /actions/preview"].attributes
    assert said["relay.preview_id"] == answer.json()["preview_id"]


async def test_the_target_gets_the_trace_context(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """traceparent names the client span (W3C Trace Context). Baggage is not sent on."""
    async with traced() as relay:
        relay.headers["baggage"] = "user=admin"
        relay.headers["tracestate"] = "evil=1"
        answer = await relay.execute(await relay.preview_id(target.url))
    trace_id = linked(answer.headers["X-Trace-Link"])
    spans = await collector.trace(trace_id, 5)
    [delivery] = target.deliveries
    told = delivery.header("traceparent")
    assert told == f"00-{trace_id}-{spans['POST'].span_id}-01"
    sent = {name.lower() for name, _ in delivery.headers}
    assert not sent & {"baggage", "tracestate", "x-request-id"}


async def test_a_replay_links_to_the_run(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """It is a new trace with a link to the original server span; trace_link stays the same."""
    async with traced() as relay:
        first = await relay.execute(await relay.preview_id(target.url), "k-1")
        again = await relay.execute("gone", "k-1")
    original = await collector.trace(linked(first.headers["X-Trace-Link"]), 5)
    replay = await collector.trace(linked(again.headers["X-Trace-Link"]), 2)

    server = replay["POST /actions/execute"]
    ran = original["POST /actions/execute"]
    assert server.trace_id != ran.trace_id
    assert server.links == [(ran.trace_id, ran.span_id)]
    assert server.attributes["relay.replayed"] is True
    assert server.attributes["relay.run_id"] == first.json()["run_id"]
    assert again.json()["trace_link"] == first.headers["X-Trace-Link"]


async def test_a_run_in_flight_has_its_link(traced: Traced, target: Target) -> None:
    """A request during the run, or after a crash, gets the link to its trace."""
    async with traced() as relay:
        running = await held(relay, target, "k-1")
        refused = await relay.execute("any", "k-1", wait=0)
        run = (await relay.get(refused.headers["Location"])).json()
        answer = await running.end()
    assert (refused.status_code, run["status"]) == (409, "running")
    assert run["trace_link"] == answer.headers["X-Trace-Link"] == answer.json()["trace_link"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/hook", "/hook"),
        ("/services/T0123456/B0123456/XyZ9abcdefghijklmnopqrst", "/services/T0123456/B0123456/…"),
        ("/hook?token=s3cret", "/hook"),
        ("/?token=s3cret", "/"),
        ("/twelve-chars", "/twelve-chars"),
        ("/thirteen-char", "/…"),
    ],
)
async def test_a_target_is_named_without_its_secrets(
    traced: Traced, collector: Collector, target: Target, url: str, shown: str
) -> None:
    """Query, userinfo and long parts of the path are not in url.full."""
    origin = target.url.removesuffix("/hook")
    async with traced() as relay:
        answer = await relay.execute(await relay.preview_id(origin + url))
    spans = await collector.trace(linked(answer.headers["X-Trace-Link"]), 5)
    said = spans["POST"].attributes
    assert said["url.full"] == origin + shown.replace("…", "REDACTED")
    assert (said["server.address"], said["server.port"]) == ("127.0.0.1", int(origin[17:]))


def says(span: Exported) -> dict[str, Any]:
    names = ("http.response.status_code", "error.type")
    return {name: span.attributes[name] for name in names if name in span.attributes}


async def test_a_refusing_target_fails_its_span_only(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """4xx and 5xx are errors of the client span; Relay itself answers 200."""
    target.answer = status(503)
    async with traced() as relay:
        answer = await relay.execute(await relay.preview_id(target.url))
    spans = await collector.trace(linked(answer.headers["X-Trace-Link"]), 5)
    assert spans["POST"].failed
    assert says(spans["POST"]) == {"http.response.status_code": 503, "error.type": "503"}
    assert not spans["POST /actions/execute"].failed
    assert spans["POST /actions/execute"].attributes["relay.outcome"] == "failed"


async def test_a_request_that_was_not_sent_has_its_reason(
    traced: Traced, collector: Collector
) -> None:
    """The trace has release instead of settle, and the server span is an error with 502."""
    async with traced() as relay:
        answer = await relay.execute(await relay.preview_id("http://127.0.0.1:1/hook"))
    assert answer.status_code == 502
    spans = await collector.trace(linked(answer.headers["X-Trace-Link"]), 5)
    assert set(spans) == {"POST /actions/execute", "reserve", "guard", "POST", "release"}
    assert says(spans["POST"]) == {"error.type": "ConnectionRefusedError"}
    server = spans["POST /actions/execute"]
    assert says(server) == {"http.response.status_code": 502, "error.type": "502"}
    assert server.attributes["relay.problem"] == "target_unreachable"
    assert server.attributes["relay.outcome"] == "not_sent"
