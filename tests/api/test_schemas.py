"""The schemas of the published document hold together: what one says fits what it is."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS

DOCUMENT: dict[str, Any] = msgspec.json.decode(document(ENDPOINTS))
FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def schemas(node: Any, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of the document with its place; schemas stand where a `type` or `anyOf` is."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str | list) or "anyOf" in node:
            yield at, node
        for name, child in node.items():
            yield from schemas(child, f"{at}/{name}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from schemas(child, f"{at}/{index}")


def test_each_schema_is_one() -> None:
    """As JSON Schema 2020-12 defines it, on which OpenAPI 3.1 builds."""
    found = dict(schemas(DOCUMENT["components"]["schemas"]))
    assert len(found) > 50
    for at, schema in found.items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("type") != "array" or "items" in schema or "prefixItems" in schema, at


def test_each_default_is_a_value_of_its_schema() -> None:
    """Its format included: a generator drops the whole type otherwise."""
    root = {"components": DOCUMENT["components"]}
    with_default = [(at, one) for at, one in schemas(DOCUMENT) if "default" in one]
    assert len(with_default) > 10
    for at, schema in with_default:
        validator = Draft202012Validator({**schema, **root}, format_checker=FORMATS)
        assert [error.message for error in validator.iter_errors(schema["default"])] == [], at
