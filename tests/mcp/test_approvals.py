"""An approval is made by another identity on a page of Relay: by no tool and by no form."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deciding import client_of, decide
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.mcp import Agent, problem, text
from tests.support.target import Target
from tests.support.valkey import Valkey

HELD = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"] }
[[rule]]
name = "never"
when = { paths = ["/forbidden*"] }
deny = true
"""
PUBLIC = "https://relay.example"


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    given = {"policy": HELD, "public_url": PUBLIC}
    async with keyed_gateway(valkey.url, tmp_path / "data", **given) as opened:
        yield opened


async def agent_of(keyed: Keyed, *, modern: bool = True, **capabilities: Any) -> Agent:
    return Agent(await client_of(keyed, "operator"), modern=modern, **capabilities)


def answered(action: str) -> dict[str, Any]:
    """What the client says of its person."""
    return {"inputResponses": {"approve": {"action": action}}}


NOW = answered("decline")  # so that nothing waits for a decision


def awaiting(result: dict[str, Any], preview: dict[str, Any]) -> None:
    """The answer of an execution that waits: no error, and where and until when to approve."""
    document = result["structuredContent"]
    assert (result["isError"], document["status"]) == (False, "awaiting_approval")
    assert document["preview_id"] == preview["preview_id"]
    url = f"{PUBLIC}/studio/approvals/{preview['preview_id']}"
    assert document["approval"]["url"] == url
    assert document["approval"]["decide_by"] == preview["approval"]["decide_by"]
    assert url in text(result)
    assert "Call execute again" in text(result)


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
async def test_an_execute_waits_and_asks_again(keyed: Keyed, target: Target, modern: bool) -> None:
    """The preview says so; the run comes once another identity has approved."""
    agent, ann = await agent_of(keyed, modern=modern), await client_of(keyed, "approver", "ann")
    made = await agent.call("preview_webhook_save", url=target.url, body=1)
    preview = made["structuredContent"]
    assert preview["approval"]["url"] in text(made)
    awaiting(await agent.execute(preview, NOW), preview)
    assert target.deliveries == []
    assert (await decide(ann, preview["preview_id"])).status_code == 200
    run = await agent.execute(preview)
    assert run["structuredContent"]["status"] == "success"
    assert run["structuredContent"]["approval"]["approvers"] == ["ann"]
    assert len(target.deliveries) == 1


async def test_an_execute_that_waits_gets_the_run_of_its_approval(
    keyed: Keyed, target: Target
) -> None:
    """Within ten seconds, as over HTTP."""
    agent, ann = await agent_of(keyed), await client_of(keyed, "approver", "ann")
    preview = await agent.preview(target.url)
    waiting = asyncio.create_task(agent.execute(preview))
    await decide(ann, preview["preview_id"])
    assert (await waiting)["structuredContent"]["status"] == "success"


async def test_a_client_that_opens_pages_is_asked_to(keyed: Keyed, target: Target) -> None:
    """At once, with the page of the approval; that it was opened approves nothing."""
    agent = await agent_of(keyed, elicitation={"url": {}})
    ann = await client_of(keyed, "approver", "ann")
    preview = await agent.preview(target.url)
    asked = await agent.execute(preview)
    assert asked["resultType"] == "input_required"
    assert asked["inputRequests"]["approve"] == {
        "method": "elicitation/create",
        "params": {
            "mode": "url",
            "url": f"{PUBLIC}/studio/approvals/{preview['preview_id']}",
            "message": f"An approval is needed before Relay sends this: {preview['summary']}",
        },
    }
    await decide(ann, preview["preview_id"])
    run = await agent.execute(preview, answered("accept"))
    assert run["structuredContent"]["status"] == "success"
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_closed_page_spends_nothing(keyed: Keyed, target: Target, action: str) -> None:
    """Clients decline by themselves: the answer has the page as well, and can be asked again."""
    agent = await agent_of(keyed, elicitation={"url": {}})
    ann = await client_of(keyed, "approver", "ann")
    preview = await agent.preview(target.url)
    awaiting(await agent.execute(preview, answered(action)), preview)
    assert (await agent.execute(preview))["resultType"] == "input_required"
    await decide(ann, preview["preview_id"])
    assert (await agent.execute(preview))["structuredContent"]["status"] == "success"


@pytest.mark.parametrize(
    "capabilities", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}, {"sampling": {}}]
)
async def test_a_client_that_opens_no_pages_is_not_asked_to(
    keyed: Keyed, target: Target, capabilities: dict[str, Any]
) -> None:
    """A form least of all: the client's key would approve what it asked for."""
    agent = await agent_of(keyed, **capabilities)
    preview = await agent.preview(target.url)
    awaiting(await agent.execute(preview, NOW), preview)


async def test_no_tool_decides(keyed: Keyed, target: Target) -> None:
    """Neither by its name nor by an argument nor by what a client claims of its person."""
    agent = await agent_of(keyed, elicitation={"url": {}, "form": {}})
    assert {*await agent.tools()} == {"preview_webhook_save", "execute", "get_run"}
    preview = await agent.preview(target.url)
    for more in ({"confirm": True}, {"approve": True}, {"decision": "approve"}):
        assert problem(await agent.execute(preview, **more))["code"] == "invalid_params"
    content = {"approve": {"action": "decline", "content": {"approved": True}}}
    awaiting(await agent.execute(preview, {"inputResponses": content}), preview)
    assert target.deliveries == []


async def test_what_was_denied_is_a_problem(keyed: Keyed, target: Target) -> None:
    """A denial by a person, and one by the policy."""
    agent, ann = await agent_of(keyed), await client_of(keyed, "approver", "ann")
    preview = await agent.preview(target.url)
    await decide(ann, preview["preview_id"], "deny", reason="not today")
    refused = problem(await agent.execute(preview))
    assert refused["code"] == "approval_denied"
    assert "not today" in refused["detail"]
    forbidden = target.url.replace("/hook", "/forbidden")
    refused = problem(await agent.call("preview_webhook_save", url=forbidden))
    assert refused["code"] == "policy_denied"


async def test_the_summary_is_compared_while_it_waits(keyed: Keyed, target: Target) -> None:
    """Else a decision within the wait would send what the person at the client did not read."""
    agent = await agent_of(keyed)
    preview = await agent.preview(target.url)
    refused = problem(await agent.execute(preview, NOW, summary="Look at a page"))
    assert refused["code"] == "invalid_params"
