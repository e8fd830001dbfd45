"""Tools of MCP over three gateways behind HAProxy: any request to any of them."""

import asyncio

import pytest

from tests.stack.conftest import Stack
from tests.support.held import Gate
from tests.support.mcp import Agent
from tests.support.target import Target


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
async def test_each_call_may_go_to_another_replica(
    stack: Stack, target: Target, modern: bool
) -> None:
    """List, preview, execute, replay and look, without a session in between."""
    agent, served = Agent(stack.relay, modern=modern), set()
    for _ in range(6):
        await agent.tools()
        preview = await agent.preview(target.url)
        first, again = await agent.execute(preview), await agent.execute(preview)
        run_id = first["structuredContent"]["run_id"]
        assert again["structuredContent"]["run_id"] == run_id
        found = await agent.call("get_run", run_id=run_id)
        assert found["structuredContent"]["status"] == "success"
        for result in (first, again, found):
            served.add(await stack.who_served(result["structuredContent"]["request_id"]))
    assert served == {replica.address for replica in stack.replicas}
    assert len(target.deliveries) == 6


async def test_the_replica_dies_after_the_send(stack: Stack, target: Target) -> None:
    """HAProxy repeats the call on another one, which knows the run and sends nothing."""
    agent, gate = Agent(stack.relay), Gate(target)
    preview = await agent.preview(target.url)
    asked = asyncio.create_task(agent.execute(preview))
    async with asyncio.timeout(10):
        await target.arrived.wait()
    sender = await stack.sender()
    sender.kill()
    run = await asked
    gate.open.set()
    assert run["structuredContent"]["status"] == "running"
    assert run["structuredContent"]["run_id"] == target.deliveries[0].header("webhook-id")
    served = await stack.who_served(run["structuredContent"]["request_id"])
    assert served != sender.address
    assert len(target.deliveries) == 1
