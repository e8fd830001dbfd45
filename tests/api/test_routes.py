"""The published document says of scopes, queries and results what the table of endpoints says."""

from typing import Any

import msgspec
import pytest

from gateway.api.admin.audit import AuditQuery
from gateway.api.endpoint import Endpoint
from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from gateway.api.runs import RunsQuery

PUBLISHED: dict[str, Any] = msgspec.json.decode(document(ENDPOINTS))


def published(endpoint: Endpoint) -> dict[str, Any]:
    return dict(PUBLISHED["paths"][endpoint.path][endpoint.method.lower()])


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.operation_id)
def test_the_scope_of_each_endpoint_is_published(endpoint: Endpoint) -> None:
    """With the refusals of a caller that lacks it; an endpoint for everyone says so."""
    operation, scope = published(endpoint), endpoint.scope
    session: dict[str, list[str]] = {"session": []}
    assert operation["security"] == ([{"api_key": [scope]}, session] if scope else [])
    assert {"401", "403"} <= operation["responses"].keys() or scope is None
    assert PUBLISHED["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"


def test_operation_ids_are_unique() -> None:
    """Generators make method names of them."""
    ids = [endpoint.operation_id for endpoint in ENDPOINTS]
    assert len(set(ids)) == len(ids)
    assert all(operation_id.isidentifier() for operation_id in ids)


@pytest.mark.parametrize(("path", "kind"), [("/runs", RunsQuery), ("/audit", AuditQuery)])
def test_parameters_are_published(path: str, kind: type[msgspec.Struct]) -> None:
    """Each is optional and has its bounds; null is no text that a query could hold."""
    parameters = PUBLISHED["paths"][path]["get"]["parameters"]
    assert [row["name"] for row in parameters] == list(kind.__struct_fields__)
    assert {(row["in"], row["required"]) for row in parameters} == {("query", False)}
    schemas = {row["name"]: row["schema"] for row in parameters}
    assert schemas["limit"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert schemas["since"] == {"type": "string", "format": "date-time"}
    assert {schema["type"] for schema in schemas.values()} == {"integer", "string"}


def test_what_creates_something_answers_201() -> None:
    created = {endpoint.operation_id for endpoint in ENDPOINTS if endpoint.status == 201}
    assert created == {
        *("create_key", "rotate_key", "create_secret", "create_channel", "create_connection"),
        "authorize_connection",
    }
    for endpoint in ENDPOINTS:
        answers = published(endpoint)["responses"]
        others = [str(status) for status in endpoint.others if status < 400]
        assert [status for status in answers if status < "4"] == [str(endpoint.status), *others]
