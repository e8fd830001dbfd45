"""Which tools there are, who sees them, and how a client may read them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.access.roles import ROLES, Scope
from gateway.actions.action import Action, Actions
from gateway.actions.registry import registered
from gateway.actions.webhook import webhook_save
from gateway.mcp.tools import PREVIEW_TOOLS_MAX, Tools, tool_name
from tests.support.deciding import client_of
from tests.support.gateways import Relay, gateway
from tests.support.keyed import keyed_gateway
from tests.support.mcp import Agent, problem
from tests.support.valkey import Valkey

ALL = ROLES["operator"]


def actions(count: int, *, enabled: bool = True) -> Actions:
    webhook = webhook_save(default_url=None)
    made = {f"family.verb_{number}": webhook for number in range(count)}
    return {
        name: msgspec.structs.replace(action, name=name, enabled=enabled)
        for name, action in made.items()
    }


def names(tools: Tools, scopes: frozenset[Scope] = ALL) -> list[str]:
    return [json.loads(bytes(tool))["name"] for tool in tools.listed(scopes)]


async def test_the_list_is_private_and_stable(relay: Relay) -> None:
    """It differs by key, and a cache of prompts wants the same order each time."""
    results = [await Agent(relay).result("tools/list") for _ in range(2)]
    assert results[0]["tools"] == results[1]["tools"]
    assert results[0]["cacheScope"] == "private"
    assert results[0]["ttlMs"] == 60_000
    found = [tool["name"] for tool in results[0]["tools"]]
    assert found == ["preview_webhook_save", "preview_http_request", "execute", "get_run"]


async def test_a_legacy_list_has_no_members_of_today(relay: Relay) -> None:
    result = await Agent(relay, modern=False).result("tools/list")
    assert result.keys() == {"tools"}


async def test_annotations_are_what_clients_decide_by(relay: Relay) -> None:
    """A preview needs no confirmation; what sends does, and may be sent again."""
    hints = {name: tool["annotations"] for name, tool in (await Agent(relay).tools()).items()}
    for name in ("preview_webhook_save", "get_run"):
        assert hints[name] == {"readOnlyHint": True, "openWorldHint": False}
    assert hints["execute"] == {
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": True,
        "openWorldHint": True,
    }


SEEN = {
    "viewer": ["get_run"],
    "developer": ["preview_webhook_save", "get_run"],
    "operator": ["preview_webhook_save", "execute", "get_run"],
    "approver": ["get_run"],
    "auditor": [],
    "admin": ["preview_webhook_save", "preview_http_request", "execute", "get_run"],
}


async def test_a_key_sees_what_it_may_call(valkey: Valkey, tmp_path: Path) -> None:
    """A call beyond it is refused as over HTTP; without a key there is no way in."""
    arguments = {
        "preview_webhook_save": {"url": "http://127.0.0.1:1/"},
        "preview_http_request": {"url": "http://127.0.0.1:1/"},
        "execute": {"preview_id": "none", "summary": ""},
        "get_run": {"run_id": "none"},
    }
    async with keyed_gateway(valkey.url, tmp_path / "data") as keyed:
        for role, seen in SEEN.items():
            agent = Agent(await client_of(keyed, role))
            assert [*await agent.tools()] == seen, role
            for name, given in arguments.items():
                answer = await agent.ask("tools/call", name=name, arguments=given)
                assert answer.status_code == (200 if name in seen else 403), (role, name)
                assert name in seen or answer.json()["code"] == "forbidden"
        for modern in (True, False):
            answer = await Agent(keyed.client(), modern=modern).ask("tools/list")
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert "resource_metadata" not in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["oauth-protected-resource/mcp", "oauth-authorization-server"])
async def test_what_clients_look_for_after_a_401_is_not_there(relay: Relay, path: str) -> None:
    """A 404 of JSON: another one crashed a client."""
    answer = await relay.get(f"/.well-known/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def enumerations(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "enum" in node:
            yield node
        for child in node.values():
            yield from enumerations(child)


def test_schemas_are_plain() -> None:
    """No reference, no enumeration without a type, no null: what some clients cannot read."""
    for count in (1, PREVIEW_TOOLS_MAX + 1):
        for raw in Tools(actions(count)).listed(ALL):
            tool = json.loads(bytes(raw))
            assert tool["description"]
            assert tool["title"]
            assert tool["inputSchema"]["type"] == "object"
            said = json.dumps(tool["inputSchema"])
            assert not re.search(r"\$ref|\$defs|anyOf|\"null\"|\"const\"|\"type\": \[", said), said
            assert all("type" in node for node in enumerations(tool["inputSchema"]))


@pytest.mark.parametrize("name", registered(webhook_url=None, providers={}))
def test_names_are_short_and_plain(name: str) -> None:
    """Clients put `mcp__relay__` before them, and take 64 letters, digits, `_` and `-`."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,52}", tool_name(name))


def test_tool_names_differ() -> None:
    """`a.b_c` and `a_b.c` would be one tool."""
    found = [tool_name(name) for name in registered(webhook_url=None, providers={})]
    assert len({*found}) == len(found)


def test_many_actions_are_listed_on_demand() -> None:
    """Up to 20 have a tool each; their descriptions fill the context of a model."""
    few, many = Tools(actions(PREVIEW_TOOLS_MAX)), Tools(actions(PREVIEW_TOOLS_MAX + 1))
    assert len(names(few)) == PREVIEW_TOOLS_MAX + 2
    assert names(many) == ["list_actions", "preview", "execute", "get_run"]
    assert many.find(tool_name("family.verb_1")) is None
    assert few.find("preview") is None


def test_an_action_that_is_not_configured_has_no_tool() -> None:
    assert names(Tools(actions(3, enabled=False))) == ["execute", "get_run"]


async def test_without_actions_runs_can_be_looked_at(valkey: Valkey) -> None:
    async with gateway(valkey.url, actions_enabled=False) as relay:
        agent = Agent(relay)
        assert [*await agent.tools()] == ["get_run"]
        assert problem(await agent.call("get_run", run_id="none"))["code"] == "run_not_found"


class Nested(Struct):
    inner: "Inner"


class Inner(Struct):
    words: list[str]


def test_params_within_params_are_inlined() -> None:
    """A schema without references, whatever the params of an action hold."""
    webhook = webhook_save(default_url=None)
    action: Action[Any] = msgspec.structs.replace(webhook, params=Nested)
    (tool, *_) = Tools({"a.b": action}).listed(ALL)
    inner = json.loads(bytes(tool))["inputSchema"]["properties"]["inner"]
    assert inner["properties"]["words"] == {"type": "array", "items": {"type": "string"}}
