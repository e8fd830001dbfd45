"""Clients send calls twice, and again after a lost answer: there is one delivery."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.gateways import Relay, client, gateway
from tests.support.held import Gate
from tests.support.mcp import LEGACY, Agent
from tests.support.target import Target
from tests.support.valkey import Valkey


@pytest.fixture(params=[True, False], ids=["modern", "legacy"])
def modern(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def other(valkey: Valkey) -> AsyncIterator[Relay]:
    """Another replica over the same store."""
    async with gateway(valkey.url) as opened:
        yield opened


async def test_the_same_call_fifty_times_at_once(
    relay: Relay, other: Relay, target: Target, modern: bool
) -> None:
    """On two replicas: each gets the one run."""
    agents = [Agent(replica, modern=modern) for replica in (relay, other)]
    preview = await agents[0].preview(target.url)
    calls = (agents[number % 2].execute(preview) for number in range(50))
    runs = await asyncio.gather(*calls)
    assert {run["structuredContent"]["status"] for run in runs} == {"success"}
    assert len({run["structuredContent"]["run_id"] for run in runs}) == 1
    assert sum("content" in run and len(run["content"]) == 1 for run in runs) == 1
    assert len(target.deliveries) == 1


async def test_a_lost_answer_is_asked_for_again_on_another_replica(
    relay: Relay, other: Relay, target: Target, modern: bool
) -> None:
    """The connection is cut after the send: the run ends, and the other replica returns it."""
    agent, elsewhere = Agent(relay, modern=modern), Agent(other, modern=modern)
    preview = await agent.preview(target.url)
    gate = Gate(target)
    async with client(str(relay.base_url)) as doomed:
        lost = asyncio.create_task(Agent(doomed, modern=modern).execute(preview))
        async with asyncio.timeout(10):
            await target.arrived.wait()
        lost.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lost
    again = asyncio.create_task(elsewhere.execute(preview))
    gate.open.set()
    run = await again
    assert run["structuredContent"]["status"] == "success"
    assert run["structuredContent"]["run_id"] == target.deliveries[0].header("webhook-id")
    assert len(target.deliveries) == 1


async def test_a_model_that_starts_over_with_its_key_sends_once(
    relay: Relay, target: Target
) -> None:
    """The one thing that preview_id cannot prevent: a new preview of the same intent."""
    agent = Agent(relay)
    first = await agent.preview(target.url)
    run = await agent.execute(first, idempotency_key="invoice-4711")
    second = await agent.preview(target.url)
    refused = await agent.execute(second, idempotency_key="invoice-4711")
    assert run["structuredContent"]["run_id"] in refused["content"][0]["text"]
    assert len(target.deliveries) == 1


async def test_both_eras_share_a_run(relay: Relay, other: Relay, target: Target) -> None:
    """A client that falls back to the older version in between."""
    preview = await Agent(relay).preview(target.url)
    first = await Agent(relay).execute(preview)
    again = await Agent(other, modern=False).execute(preview)
    assert again["structuredContent"]["run_id"] == first["structuredContent"]["run_id"]
    assert len(target.deliveries) == 1


async def test_the_run_of_a_tool_is_the_run_of_the_endpoint(relay: Relay, target: Target) -> None:
    """One engine: what was executed by a tool is replayed over HTTP."""
    preview = await Agent(relay).preview(target.url)
    run = await Agent(relay).execute(preview)
    answer: httpx2.Response = await relay.execute(preview["preview_id"])
    assert answer.headers["Idempotent-Replayed"] == "true"
    kept = {name: run["structuredContent"][name] for name in ("run_id", "result", "started_at")}
    assert {name: answer.json()[name] for name in kept} == kept
    assert len(target.deliveries) == 1


async def test_no_session_is_needed_in_between(relay: Relay, other: Relay, target: Target) -> None:
    """`initialize` on one replica, and every call that follows on another."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
    given = {**body, "params": {"protocolVersion": LEGACY, "capabilities": {}}}
    answer = await relay.post("/mcp", json=given)
    assert json.loads(answer.text)["result"]["protocolVersion"] == LEGACY
    agents = [Agent(replica, modern=False) for replica in (relay, other)]
    run = await agents[0].execute(await agents[1].preview(target.url))
    assert run["structuredContent"]["status"] == "success"
