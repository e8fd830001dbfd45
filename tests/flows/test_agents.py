"""An agent previews, a person decides, and what they saw is sent once.

The agents are in tests/flows/agents, each with the packages of its framework.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.agents import agent
from tests.support.gateways import Relay
from tests.support.target import Target, listening, status


@pytest.mark.parametrize(
    ("decision", "said", "sent"),
    [("yes", "success: It was sent once.", 1), ("no", "The tool call was denied.", 0)],
)
async def test_a_tool_of_pydantic_ai_executes_what_was_shown(
    relay: Relay, target: Target, decision: str, said: str, sent: int
) -> None:
    """Handed the same decision twice, it sends once."""
    told = await agent("pydantic_ai_agent.py", str(relay.base_url), target.url, decision)
    assert told["shown"]["summary"] == f"POST {target.url} with 16 bytes of JSON"
    assert told["said"] == [said, said]
    assert [delivery.body.decode() for delivery in target.deliveries] == [
        told["shown"]["body"] for _ in range(sent)
    ]


@pytest.fixture
async def model() -> AsyncIterator[Target]:
    """Speaks the API of chat completions."""
    async with listening() as opened:
        yield opened


def play(model: Target, **arguments: object) -> None:
    """It calls a tool with these arguments, then repeats what the tool returned."""
    call = {"name": "webhook_save", "arguments": json.dumps(arguments)}
    calls = [{"id": "call-1", "type": "function", "function": call}]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = json.loads(model.deliveries[-1].body)["messages"][-1]
        tool = last["role"] == "tool"
        message = {"content": last["content"]} if tool else {"content": None, "tool_calls": calls}
        reason = "stop" if tool else "tool_calls"
        choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "any"}
        whole = json.dumps({**body, "choices": [choice]}).encode()
        await status(200, whole, "Content-Type: application/json")(reader, writer)

    model.answer = answer


@pytest.mark.parametrize(
    ("decision", "said", "sent"), [("yes", "success: OK", 1), ("no", "It was not approved: ", 0)]
)
async def test_a_function_tool_asks_before_it_executes(
    relay: Relay, target: Target, model: Target, decision: str, said: str, sent: int
) -> None:
    play(model, url=target.url, body={"text": "hello"})
    url = model.url.removesuffix("/hook")
    told = await agent("function_tools.py", str(relay.base_url), url, decision)
    assert told["said"].startswith(said)
    tool, *others = told["tools"]
    assert [it["function"]["name"] for it in others] == ["http_request"]
    assert tool["function"]["name"] == "webhook_save"
    assert tool["function"]["parameters"]["type"] == "object"
    assert "url" in tool["function"]["parameters"]["properties"]
    assert [json.loads(delivery.body) for delivery in target.deliveries] == [
        {"text": "hello"}
    ] * sent


async def test_a_model_learns_what_is_wrong_with_its_arguments(
    relay: Relay, target: Target, model: Target
) -> None:
    """The pointer of the member, in a sentence."""
    play(model, url=target.url, colour="red")
    url = model.url.removesuffix("/hook")
    told = await agent("function_tools.py", str(relay.base_url), url, "yes")
    assert "/params/colour" in told["said"]
    assert target.deliveries == []
