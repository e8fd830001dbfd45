"""JSON Schemas of Structs, as readers of other languages understand them."""

from typing import Any

import msgspec
from msgspec import Struct

_PREFIX = "#/"


def typed(node: Any) -> Any:
    """The schema, with the type of each enumeration: some generators make an object of it."""
    if isinstance(node, list):
        return [typed(one) for one in node]
    if not isinstance(node, dict):
        return node
    named = {name: typed(child) for name, child in node.items()}
    if isinstance(node.get("enum"), list) and "type" not in node:
        named["type"] = "string"
    return named


def inlined(kind: type[Struct]) -> dict[str, Any]:
    """One schema without references, which clients of MCP lose. `kind` must not hold itself."""
    _, schemas = msgspec.json.schema_components([kind], ref_template=_PREFIX + "{name}")

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(one) for one in node]
        if not isinstance(node, dict):
            return node
        own = {name: resolved(child) for name, child in node.items() if name != "$ref"}
        if "$ref" in node:  # what stands beside it says more of this use
            return {**resolved(schemas[node["$ref"].removeprefix(_PREFIX)]), **own}
        return own

    whole: dict[str, Any] = typed(resolved(schemas[kind.__name__]))
    return whole
