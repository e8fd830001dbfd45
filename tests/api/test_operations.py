"""What the published document says of scopes and queries."""

from typing import Any

import msgspec
import pytest

from gateway.access.admission import ROUTE_SCOPES
from gateway.api.openapi import document
from gateway.api.operations import OPERATIONS
from gateway.http.queries import AuditQuery, RunsQuery

PUBLISHED: dict[str, Any] = msgspec.json.decode(document())


@pytest.mark.parametrize(("method", "path"), list(OPERATIONS))
def test_who_may_ask_is_published(method: str, path: str) -> None:
    """The scope of each route, and how those without it are refused; none where all may."""
    operation, scope = PUBLISHED["paths"][path][method.lower()], ROUTE_SCOPES[method, path]
    assert operation.get("security") == (scope and [{"api_key": [scope]}])
    assert ({"401", "403"} <= operation["responses"].keys()) is (scope is not None)
    assert PUBLISHED["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"


def test_every_route_with_a_scope_is_published() -> None:
    assert OPERATIONS.keys() == ROUTE_SCOPES.keys()


@pytest.mark.parametrize(("path", "kind"), [("/runs", RunsQuery), ("/audit", AuditQuery)])
def test_parameters_are_published(path: str, kind: type[msgspec.Struct]) -> None:
    """Each optional, and with its bounds; null is no text that could be given."""
    parameters = PUBLISHED["paths"][path]["get"]["parameters"]
    assert [row["name"] for row in parameters] == list(kind.__struct_fields__)
    assert {(row["in"], row["required"]) for row in parameters} == {("query", False)}
    schemas = {row["name"]: row["schema"] for row in parameters}
    assert schemas["limit"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert schemas["since"] == {"type": "string", "format": "date-time"}
    assert {schema["type"] for schema in schemas.values()} == {"integer", "string"}


def test_what_makes_something_answers_201() -> None:
    made = {key for key in OPERATIONS if OPERATIONS[key].status == 201}
    assert made == {("POST", "/keys"), ("POST", "/keys/{key_id}/rotate"), ("POST", "/secrets")}
    for method, path in made:
        answers = PUBLISHED["paths"][path][method.lower()]["responses"]
        assert [status for status in answers if status < "3"] == ["201"]
