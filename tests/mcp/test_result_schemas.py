"""Clients compare what a tool answers with its schema, and arguments too."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.deciding import client_of, decide
from tests.support.gateways import Relay
from tests.support.held import Gate
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.mcp import Agent
from tests.support.target import Target, reset, status
from tests.support.valkey import Valkey

HELD = """
[[rule]]
name = "puts"
when = { methods = ["PUT"] }
need = { approvals = 1, from = ["role:approver"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=HELD) as opened:
        yield opened


def wrong(schema: dict[str, Any], document: Any) -> list[str]:
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(document)]


async def test_every_outcome_fits_the_schema_of_execute(keyed: Keyed, target: Target) -> None:
    """A success, failures, a run in flight, what waits, and a run that was approved."""
    agent = Agent(await client_of(keyed, "operator"))
    approver = await client_of(keyed, "approver", "ann")
    schema = (await agent.tools())["execute"]["outputSchema"]
    documents = []
    for answer in (status(200), status(404), reset):
        target.answer = answer
        run = await agent.execute(await agent.preview(target.url))
        documents.append(run["structuredContent"])
    target.answer = status(200)
    held = await agent.preview(target.url, method="PUT")
    no = {"inputResponses": {"approve": {"action": "decline"}}}
    documents.append((await agent.execute(held, no))["structuredContent"])
    await decide(approver, held["preview_id"])
    documents.append((await agent.execute(held))["structuredContent"])
    preview = await agent.preview(target.url)
    gate = Gate(target)
    target.arrived.clear()
    first = asyncio.create_task(agent.execute(preview))
    async with asyncio.timeout(10):
        await target.arrived.wait()
    run_id = target.deliveries[-1].header("webhook-id")
    documents.append((await agent.call("get_run", run_id=run_id))["structuredContent"])
    gate.open.set()
    await first
    states = ["success", "failed", "unknown", "awaiting_approval", "success", "running"]
    assert [document["status"] for document in documents] == states
    for document in documents:
        assert wrong(schema, document) == [], document
    assert wrong(schema, {"status": "success"})


async def test_schemas_say_what_is_taken(relay: Relay, target: Target) -> None:
    tools = await Agent(relay).tools()
    schema = tools["preview_webhook_save"]["inputSchema"]
    assert wrong(schema, {"url": target.url, "body": [1, {"a": None}]}) == []
    refused: Any
    for refused in ({"x": 1}, {"method": "post"}, {"url": 1}, []):
        assert wrong(schema, refused), refused
    assert wrong(tools["execute"]["inputSchema"], {"preview_id": "a", "summary": "b"}) == []
    assert wrong(tools["execute"]["inputSchema"], {"preview_id": "a"})
