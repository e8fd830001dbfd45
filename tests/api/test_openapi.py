"""The published document: equal to the routes, whole in itself, and true of live answers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from gateway.problem import Problem
from gateway.problems import WorkspaceExists, code
from tests.support.gateways import Relay
from tests.support.target import Target

Schema = dict[str, Any]


class Published:
    """The document, and whether a value is as it says."""

    def __init__(self, document: Schema) -> None:
        self.document = document

    def wrong(self, value: Any, schema: Schema, at: str = "$") -> Iterator[str]:
        """What does not fit, as sentences."""
        if "$ref" in schema:
            schema = self.resolved(schema["$ref"])
        if options := schema.get("anyOf"):
            found = [list(self.wrong(value, option, at)) for option in options]
            yield from () if [] in found else found[0]
            return
        if "type" in schema and not fits(value, schema["type"]):
            yield f"{at} is not {schema['type']}"
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at} is none of {schema['enum']}"
        if isinstance(value, dict) and "properties" in schema:
            yield from self._wrong_members(value, schema, at)
        if isinstance(value, list):
            for item in value:
                yield from self.wrong(item, schema.get("items", {}), f"{at}[]")

    def _wrong_members(self, value: Schema, schema: Schema, at: str) -> Iterator[str]:
        known = schema["properties"]
        yield from (
            f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value
        )
        yield from (f"{at} has the unknown {name}" for name in value if name not in known)
        for name in value.keys() & known.keys():
            yield from self.wrong(value[name], known[name], f"{at}.{name}")

    def resolved(self, reference: str) -> Schema:
        root, components, kind, name = reference.split("/")
        assert (root, components) == ("#", "components")
        return dict(self.document["components"][kind][name])

    def of(self, method: str, path: str, status: int) -> Schema:
        [content] = self.document["paths"][path][method]["responses"][str(status)][
            "content"
        ].values()
        return dict(content["schema"])


def fits(value: Any, kind: str) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    return isinstance(value, kinds[kind]) and not (kind == "integer" and isinstance(value, bool))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def refusals(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for kind in root.__subclasses__():
        yield kind
        yield from refusals(kind)


@pytest.fixture
async def published(relay: Relay) -> Published:
    response = await relay.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    return Published(response.json())


async def test_it_is_openapi(published: Published) -> None:
    """Version 3.1, with a title and the version that runs."""
    assert published.document["openapi"] == "3.1.0"
    assert published.document["info"].keys() >= {"title", "version"}


async def test_the_document_has_the_routes(published: Published) -> None:
    """Each method of each path, both ways; HEAD comes with GET."""
    described = {
        (method.upper(), path)
        for path, methods in published.document["paths"].items()
        for method in methods
    }
    routes = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    assert described == routes - {("HEAD", path) for _, path in routes}


async def test_every_reference_resolves(published: Published) -> None:
    """And no schema stands there that nothing refers to."""
    found = set(references(published.document))
    assert found
    for reference in found:
        assert published.resolved(reference)
    for kind in ("schemas", "headers"):
        names = {reference.split("/")[-1] for reference in found if f"/{kind}/" in reference}
        assert names <= published.document["components"][kind].keys()
    schemas = {reference.split("/")[-1] for reference in found if "/schemas/" in reference}
    assert schemas == published.document["components"]["schemas"].keys()


async def test_path_parameters_are_declared(published: Published) -> None:
    """Each name in braces, required; the headers of execute, optional."""
    for path, methods in published.document["paths"].items():
        for operation in methods.values():
            declared = [row["name"] for row in operation["parameters"] if row["in"] == "path"]
            assert declared == re.findall(r"{(\w+)}", path)
            assert all(row["required"] for row in operation["parameters"] if row["in"] == "path")
    execute = published.document["paths"]["/actions/execute"]["post"]
    headers = {row["name"]: row["required"] for row in execute["parameters"]}
    assert headers == {"Idempotency-Key": False, "Prefer": False}


# Only the command line creates workspaces.
NAMED = [kind for kind in refusals() if kind is not WorkspaceExists]


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: str(code(kind)))
def test_every_refusal_is_named(kind: type[Problem]) -> None:
    """A client that reads the document knows each code."""
    assert re.search(rf"\b{code(kind)}\b", document(ENDPOINTS).decode())


async def test_a_refusal_is_listed_under_its_status(published: Published) -> None:
    """Each code that an operation names is of the status it stands under."""
    statuses = {code(kind): str(kind.status) for kind in refusals()}
    for methods in published.document["paths"].values():
        for operation in methods.values():
            named = operation["responses"].items()
            for status, response in named:
                codes = re.findall(r"`(\w+)`", response["description"]) if status > "4" else []
                assert [statuses[name] for name in codes] == [status] * len(codes)
            assert "internal_error" in operation["responses"]["500"]["description"]


async def test_live_answers_are_as_published(
    relay: Relay, target: Target, published: Published
) -> None:
    """Every member is described and every required one is there, for each kind of answer."""
    preview = await relay.preview(target.url)
    preview_id = preview.json()["preview_id"]
    found = await relay.get(f"/previews/{preview_id}")
    run = await relay.execute(preview_id)
    answers = [
        ("post", "/actions/preview", preview),
        ("get", "/previews/{preview_id}", found),
        ("post", "/actions/execute", run),
        ("get", "/runs/{run_id}", await relay.get(run.headers["location"])),
        ("get", "/actions", await relay.get("/actions")),
        ("get", "/ready", await relay.get("/ready")),
        ("get", "/version", await relay.get("/version")),
        ("get", "/health", await relay.get("/health")),
    ]
    for method, path, response in answers:
        assert response.status_code == 200, path
        assert list(published.wrong(response.json(), published.of(method, path, 200))) == [], path


async def test_live_refusals_are_as_published(
    relay: Relay, target: Target, published: Published
) -> None:
    """With errors, with a run_id, and plain."""
    preview_id = await relay.preview_id(target.url)
    await relay.execute(preview_id, "first")
    answers = [
        ("post", "/actions/preview", 422, await relay.preview(target.url, headers={"Host": "x"})),
        ("post", "/actions/execute", 409, await relay.execute(preview_id, "second")),
        ("post", "/actions/execute", 404, await relay.execute("never-was", "third")),
        ("post", "/actions/execute", 400, await relay.post("/actions/execute", json={})),
        ("get", "/runs/{run_id}", 404, await relay.get("/runs/never-was")),
    ]
    for method, path, status, response in answers:
        assert response.status_code == status, path
        schema = published.of(method, path, status)
        assert list(published.wrong(response.json(), schema)) == [], path
        described = published.document["paths"][path][method]["responses"][str(status)]
        assert response.json()["code"] in re.findall(r"`(\w+)`", described["description"])


async def test_what_is_taken_is_described(published: Published) -> None:
    """The request bodies: each member, which are required, and that no other is taken."""
    for path, member in (("/actions/preview", "action"), ("/actions/execute", "preview_id")):
        body = published.document["paths"][path]["post"]["requestBody"]
        schema = published.resolved(body["content"]["application/json"]["schema"]["$ref"])
        assert body["required"]
        assert member in schema["required"]
        assert schema["additionalProperties"] is False
        assert list(published.wrong({}, schema))
