"""The official Python client: what it reads is what Relay says, in today's version and before."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.mcp.protocol import LEGACY, MODERN
from tests.support.deciding import client_of, decide, key_of
from tests.support.gateways import NO_AUTHORITIES, Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

Mode = Literal["auto", "legacy"]
HELD = """
[[rule]]
name = "puts"
when = { methods = ["PUT"] }
need = { approvals = 1, from = ["role:approver"] }
"""
PUBLIC = "https://relay.example"


@asynccontextmanager
async def connected(
    url: str, mode: Mode = "auto", key: str = "", **given: Any
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    made = httpx2.AsyncClient(headers=headers, trust_env=False, verify=NO_AUTHORITIES, timeout=40)
    async with made as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=mode, **given) as client:
            yield client


async def called(client: Client, tool: str, **arguments: Any) -> types.CallToolResult:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, types.CallToolResult)
    return result


async def previewed(client: Client, url: str, **params: Any) -> dict[str, Any]:
    """What `execute` takes of a preview."""
    made = await called(client, "preview_webhook_save", url=url, body={"n": 1}, **params)
    assert not made.is_error, made
    document = made.structured_content
    assert document
    return {name: document[name] for name in ("preview_id", "summary")}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_list_preview_execute_replay_and_look(
    relay: Relay, target: Target, mode: Mode
) -> None:
    """Its own validation of every document against the schema of its tool included."""
    async with connected(str(relay.base_url), mode) as client:
        assert client.protocol_version == (MODERN if mode == "auto" else LEGACY[0])
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == [
            "preview_webhook_save",
            "preview_http_request",
            "execute",
            "get_run",
        ]
        arguments = await previewed(client, target.url)
        first = await called(client, "execute", **arguments)
        again = await called(client, "execute", **arguments)
        assert first.structured_content
        assert again.structured_content
        run_id = first.structured_content["run_id"]
        assert again.structured_content["run_id"] == run_id
        found = await called(client, "get_run", run_id=run_id)
        assert found.structured_content
        assert found.structured_content["status"] == "success"
        refused = await called(client, "execute", preview_id="none", summary="")
        assert refused.is_error
        block = refused.content[0]
        assert isinstance(block, types.TextContent)
        assert json.loads(block.text)["code"] == "preview_not_found"
    assert len(target.deliveries) == 1


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    given = {"policy": HELD, "public_url": PUBLIC}
    async with keyed_gateway(valkey.url, tmp_path / "data", **given) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_key_is_sent_as_a_header(keyed: Keyed, mode: Mode) -> None:
    """A viewer sees what it may call; without a key there is no way in."""
    async with connected(keyed.url, mode, await key_of(keyed, "viewer")) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["get_run"]
    with pytest.raises(ExceptionGroup):
        async with connected(keyed.url, mode) as client:
            await client.list_tools()


async def test_a_person_opens_the_page_and_another_approves(keyed: Keyed, target: Target) -> None:
    """The client asks once and sends the same call again by itself."""
    ann, pages = await client_of(keyed, "approver", "ann"), []

    async def opened(_: Any, params: Any) -> types.ElicitResult:
        pages.append(params.url)
        await decide(ann, params.url.rpartition("/")[2])
        return types.ElicitResult(action="accept")

    key = await key_of(keyed, "operator")
    async with connected(keyed.url, "auto", key, elicitation_callback=opened) as client:
        arguments = await previewed(client, target.url, method="PUT")
        run = await called(client, "execute", **arguments)
    assert run.structured_content
    assert run.structured_content["status"] == "success"
    assert pages == [f"{PUBLIC}/studio/approvals/{arguments['preview_id']}"]
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_that_declines_spends_nothing(
    keyed: Keyed, target: Target, action: Literal["decline", "cancel"]
) -> None:
    async def declined(_: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action=action)

    ann, key = await client_of(keyed, "approver", "ann"), await key_of(keyed, "operator")
    async with connected(keyed.url, "auto", key, elicitation_callback=declined) as client:
        arguments = await previewed(client, target.url, method="PUT")
        waiting = await called(client, "execute", **arguments)
        assert waiting.structured_content
        assert waiting.structured_content["status"] == "awaiting_approval"
        assert target.deliveries == []
        waits = asyncio.create_task(called(client, "execute", **arguments))
        await decide(ann, arguments["preview_id"])
        await waits
        run = await called(client, "execute", **arguments)
    assert run.structured_content
    assert run.structured_content["status"] == "success"
    assert len(target.deliveries) == 1
