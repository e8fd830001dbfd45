"""`relay trace` leads from the id of a request or a run to its trace, whoever knows of it."""

import json
import re
from collections.abc import AsyncIterator

import pytest

from tests.support.lookups import GRAFANA, Traced, names, rows, run, tracing
from tests.support.target import Target, status
from tests.support.valkey import Valkey

EXECUTION = [(0, "POST /actions/execute"), (1, "reserve"), (1, "guard"), (1, "POST"), (1, "settle")]
REPLAY = [(0, "POST /actions/execute"), (1, "reserve")]


@pytest.fixture
async def traced(valkey: Valkey) -> AsyncIterator[Traced]:
    async with tracing(valkey, grafana_url=GRAFANA) as opened:
        yield opened


async def test_a_run_that_the_gateway_knows(traced: Traced, target: Target) -> None:
    """Its tree with times, then its link; looked up by id, for a search comes 30 s late."""
    response = await traced.executed(target)
    run_id, link = response.json()["run_id"], response.json()["trace_link"]
    result = await run(run_id, "--url", traced.url, TEMPO_URL=traced.tempo.url)

    assert (result.exit_code, result.stderr) == (0, "")
    server, *children = found = rows(result)
    assert names(found) == EXECUTION
    assert server.offset == 0
    assert [child.offset for child in children] == sorted(child.offset for child in children)
    assert all(0 <= child.offset + child.took <= server.took + 0.2 for child in children)
    assert server.took > children[2].took > 0
    assert "relay.outcome=success" in server.rest
    assert "http.response.status_code=200  server.address=127.0.0.1" in children[2].rest
    assert result.stdout.splitlines()[-1] == link == response.headers["x-trace-link"]
    assert traced.tempo.asked("/api/search") == []


async def test_a_request_is_searched_for(traced: Traced, target: Target) -> None:
    """Then the link is the one that its answer carried, and the tree is of that trace alone."""
    first = await traced.executed(target, "key-1")
    other = await traced.executed(target, "key-2")
    request_id = first.json()["request_id"]
    result = await run(
        request_id, "--url", traced.url, TEMPO_URL=traced.tempo.url, GRAFANA_URL=GRAFANA
    )

    assert result.exit_code == 0
    assert names(rows(result)) == EXECUTION
    assert result.stdout.splitlines()[-1] == first.headers["x-trace-link"]
    assert first.headers["x-trace-link"] != other.headers["x-trace-link"]


async def test_a_run_without_its_gateway_is_searched_for(traced: Traced, target: Target) -> None:
    """The execution first, then its replays, which say of which trace; not who only read it."""
    original = await traced.executed(target)
    run_id = original.json()["run_id"]
    await traced.replayed()
    read = await traced.relay.get(f"/runs/{run_id}")
    await traced.collector.of_request(read.json()["request_id"])
    result = await run(run_id, TEMPO_URL=traced.tempo.url)

    found = rows(result)
    assert names(found) == EXECUTION + REPLAY
    original_id = re.findall(r"^trace ([0-9a-f]{32})  2", result.stdout, re.MULTILINE)[0]
    assert original_id in original.headers["x-trace-link"]
    assert f"relay.replayed=true  links to trace {original_id}" in found[5].rest
    assert "relay.replayed" not in found[0].rest
    assert result.stderr == "For links set GRAFANA_URL or TRACE_LINK_TEMPLATE.\n"


async def test_a_template_gets_the_server_spans_ids(valkey: Valkey, target: Target) -> None:
    """The same link as the gateway's own, which also Jaeger's span and a log search can use."""
    template = "https://t.example/{trace_id}?uiFind={span_id}&q={request_id}"
    async with tracing(valkey, trace_link_template=template) as traced:
        response = await traced.executed(target)
        env = {"TEMPO_URL": traced.tempo.url, "TRACE_LINK_TEMPLATE": template}
        result = await run(response.json()["request_id"], **env)

    assert result.stdout.splitlines()[-1] == response.headers["x-trace-link"]


async def test_a_link_without_the_trace_is_no_end(valkey: Valkey, target: Target) -> None:
    """32 hexadecimal digits may be a request id: what Tempo does not have is searched for."""
    async with tracing(valkey, trace_link_template="https://logs.example/{request_id}") as traced:
        traced.relay.headers["X-Request-ID"] = "f" * 32
        preview_id = await traced.relay.preview_id(target.url)
        response = await traced.relay.execute(preview_id)
        await traced.collector.of_request("f" * 32, count=7)
        run_id = response.json()["run_id"]
        result = await run(run_id, "--url", traced.url, TEMPO_URL=traced.tempo.url)

    paths = [request.url.path for request in traced.tempo.requests]
    assert paths[:2] == [f"/api/traces/{'f' * 32}", "/api/search"]
    assert names(rows(result)) == EXECUTION
    assert result.stdout.splitlines()[-1] == "https://logs.example/" + "f" * 32


async def test_a_failed_send_is_marked(traced: Traced, target: Target) -> None:
    """By its error.type, which is the target's status."""
    target.answer = status(504)
    run_id = (await traced.executed(target)).json()["run_id"]
    result = await run(run_id, "--url", traced.url, TEMPO_URL=traced.tempo.url)

    client = rows(result)[3]
    assert (client.name, client.rest[:14]) == ("POST", "  FAILED 504  ")
    assert "FAILED" not in rows(result)[0].rest


async def test_json_has_the_same(traced: Traced, target: Target) -> None:
    """The link, and spans that name their parents."""
    body = (await traced.executed(target)).json()
    result = await run(body["run_id"], "--url", traced.url, "--json", TEMPO_URL=traced.tempo.url)

    told = json.loads(result.stdout)
    assert (told["id"], told["link"]) == (body["run_id"], body["trace_link"])
    server, *children = told["traces"][0]["spans"]
    assert server["attributes"]["relay.request_id"] == body["request_id"]
    assert {child["parent_span_id"] for child in children} == {server["span_id"]}
    assert told["traces"][0]["duration_ms"] >= server["duration_ms"] > 0


async def test_without_tempo_the_runs_link_is_printed(traced: Traced, target: Target) -> None:
    """The gateway knows it; RELAY_URL says which gateway."""
    body = (await traced.executed(target)).json()
    result = await run(body["run_id"], RELAY_URL=traced.url)

    assert (result.exit_code, result.stdout) == (0, f"{body['trace_link']}\n")
    assert result.stderr == "For the spans set TEMPO_URL.\n"
