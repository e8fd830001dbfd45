"""The tools: a preview for each action, `execute` and `get_run`.

Clients show a person the arguments of a call and decide by its annotations whether to ask. Some
take names of letters, digits, `_` and `-` alone.
"""

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.access.limits import Limited
from gateway.access.roles import Scope
from gateway.actions.action import Action, Actions
from gateway.http.requests import PreviewId, VisibleKey
from gateway.http.schemas import inlined, typed
from gateway.mcp.results import RUN_SCHEMA

# Above it the descriptions would fill the context of a model; a list is asked for instead.
PREVIEW_TOOLS_MAX = 20

Kind = Literal["preview", "preview_any", "execute", "get_run", "list_actions"]


class NoArguments(Struct, forbid_unknown_fields=True):
    """Of `list_actions`."""


class PreviewArguments(Struct, forbid_unknown_fields=True):
    """Of `preview`, where there are too many actions for a tool each."""

    action: Annotated[str, Meta(description="The name of an action, from list_actions")]
    params: Annotated[Raw, Meta(description="As the schema of the action says")]


class ExecuteArguments(Struct, forbid_unknown_fields=True):
    preview_id: PreviewId
    summary: Annotated[
        str, Meta(description="The summary of the preview, word for word: what a person reads here")
    ]
    idempotency_key: (
        Annotated[
            VisibleKey,
            Meta(
                description="Your lasting name for this intent, such as invoice-4711; leave it out "
                "if you have none"
            ),
        ]
        | UnsetType
    ) = UNSET


class RunArguments(Struct, forbid_unknown_fields=True):
    run_id: PreviewId


class Tool(NamedTuple):
    """`action`: what a preview tool prepares, and `needs`: the scope that it asks for besides.
    `shown`: the tool as clients list it, in JSON.
    """

    name: str
    kind: Kind
    scope: Scope
    shown: Raw
    limited: Limited | None = None
    action: str = ""
    needs: Scope | None = None

    def usable(self, scopes: Collection[str]) -> bool:
        return self.scope in scopes and (self.needs is None or self.needs in scopes)


class Tools:
    """`enabled`: whether actions are; without them only runs can be looked at."""

    def __init__(self, actions: Actions, *, enabled: bool = True) -> None:
        usable = [action for action in actions.values() if action.enabled and enabled]
        many = len(usable) > PREVIEW_TOOLS_MAX
        previews = [LIST_ACTIONS, PREVIEW_ANY] if many else [_preview_tool(one) for one in usable]
        self._tools = {
            tool.name: tool for tool in (*previews, *((EXECUTE,) if enabled else ()), GET_RUN)
        }
        # The names that lead to the member of a call that is kept byte for byte.
        self.verbatim = ("params", "arguments", *(("params",) if many else ()), "body")

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def listed(self, scopes: Collection[Scope]) -> Sequence[Raw]:
        """In the same order each time, for the caches of prompts."""
        return [tool.shown for tool in self._tools.values() if tool.usable(scopes)]


def _shown(
    name: str,
    title: str,
    description: str,
    arguments: type[Struct],
    *,
    hints: dict[str, bool],
    output: dict[str, Any] | None = None,
) -> Raw:
    tool = {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": _object(arguments),
        **({"outputSchema": output} if output else {}),
        "annotations": hints,
    }
    return Raw(msgspec.json.encode(tool))


def _object(arguments: type[Struct]) -> dict[str, Any]:
    """Its schema. The name of the Struct and its docstring are no news to a model."""
    schema = inlined(arguments)
    return {name: part for name, part in schema.items() if name not in ("title", "description")}


READ_ONLY = {"readOnlyHint": True, "openWorldHint": False}
# Clients and proxies may repeat an idempotent call whose connection was lost.
SENDS = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": True,
    "openWorldHint": True,
}
PREPARED = (
    "Nothing is sent. The answer has a preview_id, a summary, warnings and the exact request; "
    "give preview_id and summary to execute."
)


def tool_name(action: str) -> str:
    return f"preview_{action.replace('.', '_')}"


def _preview_tool(action: Action[Any]) -> Tool:
    name = tool_name(action.name)
    shown = _shown(
        name,
        f"Preview: {action.title}",
        f"{action.title}: prepare it. {PREPARED}",
        action.params,
        hints=READ_ONLY,
    )
    return Tool(name, "preview", "actions:preview", shown, "preview", action.name, action.scope)


PREVIEW_ANY = Tool(
    "preview",
    "preview_any",
    "actions:preview",
    _shown(
        "preview",
        "Preview an action",
        f"Prepare an action that list_actions names. {PREPARED}",
        PreviewArguments,
        hints=READ_ONLY,
    ),
    "preview",
)
LIST_ACTIONS = Tool(
    "list_actions",
    "list_actions",
    "actions:read",
    _shown(
        "list_actions",
        "List the actions",
        "The actions and the JSON Schema of their params, for preview.",
        NoArguments,
        hints=READ_ONLY,
    ),
)
EXECUTE = Tool(
    "execute",
    "execute",
    "actions:execute",
    _shown(
        "execute",
        "Execute a preview",
        "Send the previewed request, at most once. After an error or a lost answer call it again "
        "with the same preview_id: you get the first run. Where an approval is needed, the answer "
        "has the page for a person; call it again later.",
        ExecuteArguments,
        hints=SENDS,
        output=typed(RUN_SCHEMA),
    ),
    "execute",
)
GET_RUN = Tool(
    "get_run",
    "get_run",
    "runs:read",
    _shown(
        "get_run",
        "Look at a run",
        "What became of an execution, by its run_id.",
        RunArguments,
        hints=READ_ONLY,
    ),
)
