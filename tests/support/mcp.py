"""Agents: clients of MCP that write their own bytes, of today's version and of an older one."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from gateway.mcp.protocol import MODERN, NAMESPACE
from tests.support.gateways import Relay

LEGACY = "2025-11-25"
JSON = ("Content-Type", "application/json")
Headers = Sequence[tuple[str, str]]


def meta(version: str = MODERN, **capabilities: Any) -> dict[str, Any]:
    return {
        f"{NAMESPACE}protocolVersion": version,
        f"{NAMESPACE}clientCapabilities": capabilities,
        f"{NAMESPACE}clientInfo": {"name": "tests", "version": "1"},
    }


async def posted(relay: Relay, body: bytes, headers: Headers = (), path: str = "/mcp") -> Any:
    """These very bytes and headers."""
    return await relay.post(path, content=body, headers=[JSON, *headers])


class Agent:
    """`modern`: speaks today's version. `capabilities`: what the client offers."""

    def __init__(self, relay: Relay, *, modern: bool = True, **capabilities: Any) -> None:
        self.relay, self.modern, self.capabilities = relay, modern, capabilities

    def message(self, method: str, **params: Any) -> dict[str, Any]:
        given = {"_meta": meta(**self.capabilities), **params} if self.modern else params
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}

    def headers(self, method: str, name: str = "") -> Headers:
        if not self.modern:
            return [("MCP-Protocol-Version", LEGACY)]
        named = [("Mcp-Name", name)] if name else []
        return [("MCP-Protocol-Version", MODERN), ("Mcp-Method", method), *named]

    async def ask(self, method: str, **params: Any) -> httpx2.Response:
        body = json.dumps(self.message(method, **params)).encode()
        headers = self.headers(method, params.get("name", ""))
        answer: httpx2.Response = await posted(self.relay, body, headers)
        return answer

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.ask(method, **params)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()["result"]
        return result

    async def tools(self) -> dict[str, dict[str, Any]]:
        return {tool["name"]: tool for tool in (await self.result("tools/list"))["tools"]}

    async def call(self, tool: str, more: Mapping[str, Any] = {}, **arguments: Any) -> Any:
        """What a tool answers. `more`: further params of the call."""
        return await self.result("tools/call", name=tool, arguments=arguments, **more)

    async def preview(self, url: str, body: Any = "hello", **params: Any) -> dict[str, Any]:
        """The document of a preview."""
        made = await self.call("preview_webhook_save", url=url, body=body, **params)
        assert not made["isError"], made
        document: dict[str, Any] = made["structuredContent"]
        return document

    async def execute(
        self, preview: Mapping[str, Any], more: Mapping[str, Any] = {}, **arguments: Any
    ) -> Any:
        given = {name: preview[name] for name in ("preview_id", "summary")} | arguments
        return await self.call("execute", more, **given)


def text(result: Mapping[str, Any]) -> str:
    """What a model reads."""
    return "\n".join(block["text"] for block in result["content"])


def problem(result: Mapping[str, Any]) -> dict[str, Any]:
    """The refusal that a result is."""
    assert result["isError"], result
    assert "structuredContent" not in result
    body: dict[str, Any] = json.loads(text(result))
    return body
