"""Function tools as OpenAI's API has them: one for each action of the gateway.

    python function_tools.py GATEWAY MODEL yes|no

MODEL: the URL of anything that speaks the API of chat completions.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from relay_client import Preview, Relay, RelayError
from relay_client.documents import Action


def tools_of(actions: Mapping[str, Action]) -> list[ChatCompletionToolParam]:
    """An action is a tool; its params are the arguments."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": action.title,
                "parameters": arguments_of(action.params),
            },
        }
        for name, action in actions.items()
    ]


def arguments_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The API wants an object at the root, not a reference to one."""
    definitions = schema["$defs"]
    return {**definitions[schema["$ref"].rpartition("/")[2]], "$defs": definitions}


def called(relay: Relay, action: str, arguments: str, decision: str) -> str:
    """What the model gets: the run, or why there is none."""

    def ask(preview: Preview) -> bool:
        sys.stderr.write(f"{preview.summary}? {decision}\n")
        return decision == "yes"

    try:
        run = relay.act(action, approve=ask, **json.loads(arguments))
    except RelayError as refused:
        return str(refused)
    return f"{run.status}: {run.result.response if run.result else run.error}"


def main(gateway: str, model: str, decision: str) -> None:
    said: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello to them."}]
    with Relay(gateway) as relay, OpenAI(base_url=model, api_key="none") as openai:
        # The names of functions hold no dots.
        actions = {it.name.replace(".", "_"): it for it in relay.actions() if it.enabled}
        tools = tools_of(actions)
        while True:
            answer: Any = openai.chat.completions.create(model="any", messages=said, tools=tools)
            message = answer.choices[0].message
            if not message.tool_calls:
                sys.stdout.write(json.dumps({"tools": tools, "said": message.content}))
                return
            said.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                action = actions[call.function.name].name
                content = called(relay, action, call.function.arguments, decision)
                said.append({"role": "tool", "tool_call_id": call.id, "content": content})


if __name__ == "__main__":
    main(*sys.argv[1:])
