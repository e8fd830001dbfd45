"""Ids and traces that a caller forges do no harm."""

from typing import Any

import pytest

from tests.support.collector import Collector
from tests.support.observed import Lines, Traced
from tests.support.target import Target
from tests.telemetry.test_traces import linked

CALLER = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{CALLER}-{PARENT}-01"


async def server_span(
    traced: Traced, collector: Collector, headers: list[tuple[str, str]], **settings: Any
) -> Any:
    """The server span of a request with these headers, and its response."""
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with traced(**settings) as relay:
        answer = await relay.get("/version", headers=encoded)
    [server] = await collector.of_request(answer.headers["X-Request-ID"])
    assert linked(answer.headers["X-Trace-Link"]) == server.trace_id
    return server, answer


async def test_a_callers_trace_is_only_linked(traced: Traced, collector: Collector) -> None:
    """W3C Trace Context: a public service restarts the trace."""
    server, _ = await server_span(traced, collector, [("traceparent", SAMPLED)])
    assert server.trace_id != CALLER
    assert server.parent == ""
    assert server.links == [(CALLER, PARENT)]


async def test_a_trusted_callers_trace_continues(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """With TRUST_TRACEPARENT, trace and tracestate reach the target; baggage does not."""
    headers = {"traceparent": SAMPLED, "tracestate": "vendor=1", "baggage": "user=admin"}
    async with traced(trust_traceparent=True) as relay:
        preview_id = await relay.preview_id(target.url)
        answer = await relay.post(
            "/actions/execute", json={"preview_id": preview_id}, headers=headers
        )
    spans = await collector.trace(CALLER, 5)
    server = spans["POST /actions/execute"]
    assert (server.parent, server.links) == (PARENT, [])
    assert linked(answer.headers["X-Trace-Link"]) == CALLER
    [delivery] = target.deliveries
    assert delivery.header("traceparent") == f"00-{CALLER}-{spans['POST'].span_id}-01"
    assert delivery.header("tracestate") == "vendor=1"
    assert "baggage" not in {name.lower() for name, _ in delivery.headers}


@pytest.mark.parametrize(("trusted", "kept"), [(True, False), (False, True)])
async def test_only_a_trusted_caller_decides_what_is_sampled(
    traced: Traced, collector: Collector, trusted: bool, kept: bool
) -> None:
    """The flags 00 of an untrusted caller do not hide its request."""
    headers = {"traceparent": SAMPLED[:-1] + "0", "X-Request-ID": "asked-1"}
    async with traced(trust_traceparent=trusted) as relay:
        answer = await relay.get("/version", headers=headers)
    assert ("X-Trace-Link" in answer.headers) is kept
    assert ([span.name for span in collector.spans] == ["GET /version"]) is kept


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        SAMPLED.upper(),
        SAMPLED.replace(CALLER, "0" * 32),
        SAMPLED.replace(PARENT, "0" * 16),
        "ff" + SAMPLED[2:],
        SAMPLED + "-00",
        SAMPLED + "\u00e9",
        "' OR 1=1 --",
        "0" * 10_000,
    ],
)
async def test_a_malformed_traceparent_is_ignored(
    traced: Traced, collector: Collector, traceparent: str, trusted: bool
) -> None:
    """The trace is new and has no link."""
    server, _ = await server_span(
        traced,
        collector,
        [("traceparent", traceparent), ("tracestate", "a=" + "x" * 9_000)],
        trust_traceparent=trusted,
    )
    assert server.trace_id != CALLER
    assert (server.parent, server.links) == ("", [])


@pytest.mark.parametrize("name", ["tracestate", "traceparent", "baggage"])
async def test_an_untrusted_context_is_not_logged(
    traced: Traced, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """OpenTelemetry would log a malformed tracestate with its value."""
    headers = {"traceparent": SAMPLED, name: "forged; hunter2 =,1"}
    async with traced() as relay:
        await relay.get("/version", headers=headers)
    assert "hunter2" not in caplog.text


async def test_two_tracestates_are_joined(traced: Traced, target: Target) -> None:
    """W3C Trace Context, 3.3.1: a list may span headers."""
    async with traced(trust_traceparent=True) as relay:
        preview_id = await relay.preview_id(target.url)
        headers = [("traceparent", SAMPLED), ("tracestate", "a=1"), ("tracestate", "b=2")]
        body = {"preview_id": preview_id}
        await relay.post("/actions/execute", json=body, headers=headers)
    assert target.deliveries[0].header("tracestate") == "a=1,b=2"


async def test_an_unknown_method_becomes_other(traced: Traced, collector: Collector) -> None:
    """Span name and metrics say `HTTP` and `_OTHER`; an attribute has the method itself."""
    async with traced() as relay:
        answer = await relay.request("PROPFIND", "/actions")
    [server] = await collector.of_request(answer.headers["X-Request-ID"])
    assert server.name == "HTTP /actions"
    assert server.attributes["http.request.method"] == "_OTHER"
    assert server.attributes["http.request.method_original"] == "PROPFIND"


async def test_two_traceparents_are_ignored(traced: Traced, collector: Collector) -> None:
    """Neither can be preferred."""
    twice = [("traceparent", SAMPLED), ("traceparent", SAMPLED)]
    server, _ = await server_span(traced, collector, twice, trust_traceparent=True)
    assert (server.parent, server.links) == ("", [])


@pytest.mark.parametrize(
    "given",
    [
        'x"}\u0085{"event":"forged"}',
        "../../etc/passwd",
        "<script>",
        "x" * 65,
        "a b",
        '{ span.x = "" }',
        "ids,twice",
    ],
)
async def test_a_malformed_request_id_is_replaced(
    traced: Traced, collector: Collector, lines: Lines, given: str
) -> None:
    """It appears in no header, span, line or link."""
    server, answer = await server_span(traced, collector, [("X-Request-ID", given)])
    assert answer.headers["X-Request-ID"] != given
    assert given not in lines.text
    assert given.encode() not in collector.raw
    assert lines.events == ["keys.empty", "http.request"]
    assert server.attributes["relay.request_id"] == answer.headers["X-Request-ID"]


async def test_lines_cannot_be_forged(traced: Traced, lines: Lines) -> None:
    """Line ends and control characters from a caller are escaped everywhere."""
    forged = "x\n{\u2028\r\x1b[2J"
    async with traced() as relay:
        await relay.get("/runs/" + forged.encode().hex(), headers={"User-Agent": "a\tb"})
        body = {"action": forged, "params": {}}
        await relay.post("/actions/preview", json=body)
        await relay.post("/actions/execute", json={"preview_id": forged})
    assert lines.events == ["keys.empty", *["http.request"] * 3]
    assert not {"\x1b", "\r"} & set(lines.text)


async def test_caller_text_in_spans_is_bounded(traced: Traced, collector: Collector) -> None:
    """Thousands of spans may wait for a collector: a long path or user agent must not fill the
    memory.
    """
    async with traced() as relay:
        headers = {"User-Agent": "u" * 20_000, "X-Request-ID": "asked-1"}
        await relay.get("/" + "p" * 20_000, headers=headers)
    [server] = await collector.of_request("asked-1")
    assert server.attributes["user_agent.original"] == "u" * 256
    assert server.attributes["url.path"] == "/" + "p" * 255
