"""What each path answers when all is well, and what it says of what is not there."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest

from gateway.actions.webhook import WebhookParams
from gateway.api.routes import ENDPOINTS
from stores.redis import names
from tests.support.checks import CHECKS
from tests.support.gateways import Relay, gateway
from tests.support.keyed import keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

METHODS = set("GET POST PUT DELETE PATCH OPTIONS PROPFIND".split())
NOBODY = "00000000-0000-4000-8000-000000000000"


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal that is one in every respect."""
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == f"/problems/{code}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return dict(body)


def answer(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["request_id"] == response.headers["x-request-id"]
    return dict(body)


async def test_health(relay: Relay) -> None:
    """Alive is all it says."""
    body = answer(await relay.get("/health"))
    assert body == {"status": "alive", "request_id": body["request_id"]}


async def test_version(relay: Relay) -> None:
    """The installed distribution's name and version."""
    body = answer(await relay.get("/version"))
    assert (body["name"], body["version"]) == ("relay-gateway", version("relay-gateway"))


async def test_ready_names_each_check(relay: Relay) -> None:
    """The process, the store, what correctness rests on, the keys, and what /ready shows."""
    body = answer(await relay.get("/ready"))
    assert body["status"] == "ready"
    assert tuple(check["name"] for check in body["checks"]) == CHECKS
    assert {check["verdict"] for check in body["checks"]} == {"ok"}
    assert all(check["detail"] for check in body["checks"])


async def test_metrics(relay: Relay) -> None:
    """Prometheus text, with the version that runs."""
    response = await relay.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert f'relay_build_info{{version="{version("relay-gateway")}"}} 1.0' in response.text


async def test_actions_are_listed_with_their_schema(relay: Relay) -> None:
    """The params' JSON Schema is that of the Struct that decodes them."""
    action, *_ = answer(await relay.get("/actions"))["actions"]
    assert action["params"] == msgspec.json.schema(WebhookParams)
    del action["params"]
    assert action == {
        "name": "webhook.save",
        "provider": "independent",
        "title": "Send JSON to a URL",
        "enabled": True,
    }


async def test_a_preview_says_all(relay: Relay, target: Target) -> None:
    """Each member of the answer; nothing was sent."""
    before = datetime.now(UTC)
    body = answer(await relay.preview(target.url, {"a": 1}, headers={"X-A": "b"}))
    assert UUID(body.pop("preview_id")).version == 4
    assert (body.pop("action"), body.pop("provider")) == ("webhook.save", "independent")
    assert body.pop("summary") == f"POST {target.url} with 7 bytes of JSON"
    assert body.pop("params") == {"url": target.url, "body": {"a": 1}, "headers": {"X-A": "b"}}
    assert body.pop("warnings") == ["The request is not encrypted: the URL is http."]
    effect = body.pop("effect")
    assert (effect["method"], effect["url"], effect["body"]) == ("POST", target.url, '{"a":1}')
    assert effect["headers"]["X-A"] == "b"
    assert effect["digest"].startswith("sha256:")
    expires_at = datetime.fromisoformat(body.pop("expires_at"))
    assert abs(expires_at - before - timedelta(hours=1)) < timedelta(seconds=30)
    assert body.pop("approval") is None
    assert body.keys() == {"request_id"}
    assert not target.deliveries


async def test_a_preview_is_found_until_it_is_spent(relay: Relay, target: Target) -> None:
    """The same document and the same hour; then 409 with the run's id."""
    made = answer(await relay.preview(target.url))
    path = f"/previews/{made['preview_id']}"
    found = answer(await relay.get(path))
    assert made.pop("request_id") != found.pop("request_id")
    assert found == made
    run_id = answer(await relay.execute(made["preview_id"]))["run_id"]
    response = await relay.get(path)
    spent = problem(response, 409, "preview_already_executed")
    assert (spent["run_id"], response.headers["location"]) == (run_id, f"/runs/{run_id}")


async def test_a_run_is_found(relay: Relay, target: Target) -> None:
    """Its answer, where Location says."""
    response = await relay.execute(await relay.preview_id(target.url))
    run = answer(response)
    assert UUID(run["run_id"]).version == 4
    assert response.headers["location"] == f"/runs/{run['run_id']}"
    found = answer(await relay.get(response.headers["location"]))
    assert run.pop("request_id") != found.pop("request_id")
    assert found == run


async def test_what_never_was_is_not_found(relay: Relay, subtests: pytest.Subtests) -> None:
    """404, whatever the id looks like."""
    for name in (NOBODY, "x", "%00", "a:b", "{default}", "%ED%A0%80", "a" * 5000):
        with subtests.test(name[:40]):
            problem(await relay.get(f"/previews/{name}"), 404, "preview_not_found")
            problem(await relay.get(f"/runs/{name}"), 404, "run_not_found")


async def test_a_preview_that_never_was_cannot_be_executed(relay: Relay) -> None:
    """404 with the words of the documentation."""
    body = problem(await relay.execute("expired-or-invalid"), 404, "preview_not_found")
    assert body["title"] == "Invalid or expired preview_id"


async def test_a_gateway_without_actions(valkey: Valkey, target: Target) -> None:
    """ACTIONS_ENABLED=false: nothing can be prepared or sent; what was done can be read."""
    async with gateway(valkey.url) as relay:
        run = answer(await relay.execute(await relay.preview_id(target.url), "key"))
        preview_id = await relay.preview_id(target.url)
    async with gateway(valkey.url, actions_enabled=False) as relay:
        problem(await relay.preview(target.url), 404, "actions_disabled")
        problem(await relay.execute(preview_id), 404, "actions_disabled")
        problem(await relay.execute(preview_id, "key"), 404, "actions_disabled")
        problem(await relay.get("/actions"), 404, "actions_disabled")
        assert answer(await relay.get(f"/runs/{run['run_id']}"))["status"] == "success"
        assert answer(await relay.get("/health"))
    assert len(target.deliveries) == 1


async def test_an_unknown_path_is_not_found(relay: Relay, subtests: pytest.Subtests) -> None:
    """404 with every method."""
    for path in ("/nothing", "/actions/other", "/Health", "/runs/", "/runs/a/b"):
        for method in ("GET", "POST", "DELETE"):
            with subtests.test(f"{method} {path}"):
                problem(await relay.request(method, path), 404, "not_found")


async def test_a_slash_too_many_is_not_found(relay: Relay) -> None:
    """No redirect: its Location would be made of the Host that the client sent."""
    problem(await relay.get("/health/"), 404, "not_found")
    problem(await relay.post("/actions/preview/", json={}), 404, "not_found")


async def test_an_unknown_method_is_refused(relay: Relay) -> None:
    """405 names what the path takes."""
    for path in {endpoint.path for endpoint in ENDPOINTS}:
        taken = {endpoint.method for endpoint in ENDPOINTS if endpoint.path == path}
        taken |= {"HEAD"} if "GET" in taken else set()
        exact = path.replace("{preview_id}", NOBODY).replace("{run_id}", NOBODY)
        for method in METHODS - taken:
            response = await relay.request(method, exact)
            problem(response, 405, "method_not_allowed")
            assert set(response.headers["allow"].split(", ")) == taken


async def test_production_takes_https_only(valkey: Valkey, tmp_path: Path) -> None:
    """RELAY_ENV decides: http to a public target is a warning here and a refusal there."""
    url = "http://93.184.216.34/"
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        warnings = answer(await keyed.relay.preview(url))["warnings"]
        assert any("not encrypted" in text for text in warnings)
    async with keyed_gateway(valkey.url, tmp_path, env="production") as keyed:
        problem(await keyed.relay.preview(url), 422, "target_forbidden")


async def test_a_fault_of_ours_is_a_problem_too(
    relay: Relay, valkey: Valkey, target: Target
) -> None:
    """A record that cannot be read: 500 without a word of why, and nothing is sent."""
    preview_id = await relay.preview_id(target.url)
    with valkey.client() as client:
        client.hset(names.preview("default", preview_id), "doc", "hunter2")
    body = problem(await relay.execute(preview_id), 500, "internal_error")
    assert "hunter2" not in str(body)
    assert "Traceback" not in str(body)
    assert not target.deliveries
