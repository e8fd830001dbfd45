"""Traces, lines, metrics and the audit follow the tool, for one path serves them all."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.mcp.protocol import MODERN
from stores.audit_entries import Entry
from stores.redis.client import Store
from tests.support.collector import Collector
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.mcp import Agent, meta
from tests.support.observed import Lines, Traced
from tests.support.services import audited
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey
from tests.telemetry.test_metrics import Count
from tests.telemetry.test_traces import linked

HELD = """
[[rule]]
name = "puts"
when = { methods = ["PUT"] }
need = { approvals = 1, from = ["role:approver"] }
"""


async def test_the_span_is_named_after_the_tool(
    traced: Traced, collector: Collector, target: Target
) -> None:
    """With the attributes of the conventions for MCP, and a link to what the client names."""
    named = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with traced() as relay:
        agent = Agent(relay)
        preview = await agent.preview(target.url)
        more = {"_meta": meta() | {"traceparent": named}}
        run = await agent.execute(preview, more)
    link = run["structuredContent"]["trace_link"]
    assert run["_meta"]["dev.relay-gateway/trace-link"] == link
    spans = await collector.trace(linked(link), 5)
    server = spans.pop("tools/call execute")
    assert set(spans) == {"reserve", "guard", "POST", "settle"}
    wanted = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": MODERN,
        "gen_ai.tool.name": "execute",
        "jsonrpc.request.id": "1",
        "http.route": "/mcp",
        "relay.outcome": "success",
        "relay.mcp_client": "tests",
    }
    assert {name: server.attributes[name] for name in wanted} == wanted
    assert named.split("-")[1] in {trace_id for trace_id, _ in server.links}


async def test_a_line_names_the_tool(relay: Relay, target: Target, lines: Lines) -> None:
    """And the client, as it calls itself."""
    await Agent(relay).preview(target.url)
    (line,) = lines.of("http.request")
    wanted = ("endpoint", "mcp_method", "mcp_version", "tool", "mcp_client", "action")
    assert [line[name] for name in wanted] == [
        *("/mcp", "tools/call", MODERN, "preview_webhook_save", "tests", "webhook.save"),
    ]


async def test_calls_are_counted_by_tool(relay: Relay, target: Target) -> None:
    """Tools of ours alone: a client cannot make a label."""
    count = await Count.begin(relay)
    agent = Agent(relay)
    await agent.execute(await agent.preview(target.url))
    await agent.call("get_run", run_id="none")
    await agent.ask("tools/call", name="made-up", arguments={})

    async def of(tool: str, answer: str) -> float:
        return await count.of("relay_tool_calls_total", tool=tool, answer=answer)

    assert await of("preview_webhook_save", "result") == 1
    assert await of("execute", "result") == 1
    assert await of("get_run", "error") == 1
    assert await of("made-up", "error") == 0


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=HELD) as opened:
        yield opened


async def entries(keyed: Keyed, store: Store) -> dict[str, Entry]:
    await shipped(store, keyed.state)
    found = await audited(await keyed.state["database"].open())
    return {entry.event: entry for entry in found}


async def test_the_audit_says_by_which_way(keyed: Keyed, target: Target, store: Store) -> None:
    """Of an execution, of an approval that is asked for, and of a refusal, with its tool."""
    agent = Agent(keyed.relay)
    await agent.execute(await agent.preview(target.url))
    await agent.preview(target.url, method="PUT")
    await agent.call("preview_webhook_save", url="http://10.0.0.1/")
    found = await entries(keyed, store)
    for event in ("run.intended", "approval.requested", "request.refused"):
        assert found[event].via == "mcp tests", event
    refused = found["request.refused"]
    assert (refused.status, refused.detail) == (
        "target_forbidden",
        "POST /mcp tools/call preview_webhook_save",
    )


async def test_a_lacking_scope_is_audited_with_its_tool(keyed: Keyed, store: Store) -> None:
    viewer = keyed.client(await keyed.key("viewer"))
    arguments = {"preview_id": "none", "summary": ""}
    await Agent(viewer).ask("tools/call", name="execute", arguments=arguments)
    refused = (await entries(keyed, store))["request.refused"]
    assert (refused.status, refused.detail) == ("forbidden", "POST /mcp tools/call execute")
    assert refused.via == "mcp tests"
