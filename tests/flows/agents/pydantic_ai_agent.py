"""An agent of Pydantic AI: its tool previews, a person decides, and what they saw is executed.

    python pydantic_ai_agent.py GATEWAY TARGET yes|no

A model of the framework for tests takes the place of one on the network.
"""

import asyncio
import json
import sys

from pydantic_ai import (
    Agent,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from relay_client import AsyncRelay, Problem


async def send_message(context: RunContext[AsyncRelay], url: str, text: str) -> str:
    """Send a text to a URL, once a person has approved it."""
    relay = context.deps
    if context.tool_call_approved:
        # The request that was shown, whatever the arguments of this call are by now.
        run = await relay.execute(context.tool_call_metadata["preview_id"])
        return f"{run.status}: {run.error.detail if run.error else 'It was sent once.'}"
    try:
        preview = await relay.preview("webhook.save", url=url, body={"text": text})
    except Problem as refused:
        raise ModelRetry(str(refused)) from refused  # the model may mend its arguments
    shown = {"summary": preview.summary, "body": preview.effect.body}
    # This ends the run of the agent. Nothing was sent.
    raise ApprovalRequired({"preview_id": preview.preview_id, **shown})


def model_that_sends(url: str) -> FunctionModel:
    """Calls the tool once, then repeats what it returned."""

    def answer(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        for part in messages[-1].parts:
            if isinstance(part, ToolReturnPart):
                return ModelResponse(parts=[TextPart(str(part.content))])
        return ModelResponse(parts=[ToolCallPart("send_message", {"url": url, "text": "hello"})])

    return FunctionModel(answer)


async def main(gateway: str, target: str, decision: str) -> None:
    agent = Agent(
        model_that_sends(target),
        deps_type=AsyncRelay,
        output_type=[str, DeferredToolRequests],
        tools=[send_message],
    )
    async with AsyncRelay(gateway) as relay:
        asking = await agent.run("Say hello to them.", deps=relay)
        assert isinstance(asking.output, DeferredToolRequests)
        [call] = asking.output.approvals
        decided = DeferredToolResults(
            approvals={call.tool_call_id: decision == "yes"}, metadata=asking.output.metadata
        )
        said = []
        # Twice, as after a crash: the second run of the agent sends nothing.
        for _ in range(2):
            done = await agent.run(
                message_history=asking.all_messages(), deferred_tool_results=decided, deps=relay
            )
            said.append(done.output)
    shown = asking.output.metadata[call.tool_call_id]
    sys.stdout.write(json.dumps({"shown": shown, "said": said}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
