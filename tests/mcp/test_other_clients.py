"""The official TypeScript client, and the Inspector, which reads schemas as many clients do."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import Relay
from tests.support.mcp import Agent
from tests.support.npm import NODE, Packages
from tests.support.target import Target

INSPECTOR = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
AGENTS = Packages("mcp")
ERAS = ("modern", "legacy")
# Each call of the Inspector starts Node.
pytestmark = pytest.mark.timeout(180)


async def test_the_typescript_client(relay: Relay, target: Target) -> None:
    """It validates every document against the schema of its tool."""
    script = (Path(__file__).parent / "client.mjs").read_text()
    done = await asyncio.to_thread(
        subprocess.run,
        [str(NODE), "--input-type=module", "-"],
        cwd=AGENTS.installed,
        env={**os.environ, "ASKED": f"{relay.base_url}/mcp {target.url}"},
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["tools"] == ["preview_webhook_save", "preview_http_request", "execute", "get_run"]
    assert len({*said["runs"]}) == 1
    assert said["status"] == "success"
    assert said["refused"] == [True, "preview_not_found"]
    assert len(target.deliveries) == 1


async def inspected(relay: Relay, era: str, *words: str) -> Any:
    """What the Inspector prints, as JSON."""
    asked = ("--cli", f"{relay.base_url}/mcp", "--transport", "http", "--protocol-era", era)
    done = await asyncio.to_thread(AGENTS.node, INSPECTOR, *asked, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("era", ERAS)
async def test_the_inspector_finds_no_error_in_the_tools(relay: Relay, era: str) -> None:
    """`--strict` ends with 6 if a client could not read a schema."""
    listed = await inspected(relay, era, "--method", "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == [*await Agent(relay).tools()]


@pytest.mark.parametrize("era", ERAS)
async def test_the_inspector_previews_and_executes(relay: Relay, target: Target, era: str) -> None:
    async def called(tool: str, **arguments: Any) -> Any:
        given = ("--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        return await inspected(relay, era, "--method", "tools/call", *given)

    made = await called("preview_webhook_save", url=target.url, body={"n": 1})
    preview = made["structuredContent"]
    arguments = {name: preview[name] for name in ("preview_id", "summary")}
    first, again = await called("execute", **arguments), await called("execute", **arguments)
    assert first["structuredContent"]["status"] == "success"
    assert again["structuredContent"]["run_id"] == first["structuredContent"]["run_id"]
    assert len(target.deliveries) == 1
