"""The whole app: what it answers when something in it, or around it, fails."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.key_cache import KeyCache
from gateway.access.limits import RateLimitHeaders
from gateway.access.sealing import Sealer
from gateway.app import create_app
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from gateway.execution.engine import Engine
from gateway.http.middleware import RequestContext
from gateway.http.server import ListeningServer, running
from gateway.opening import open_gateway
from stores.redis import names
from tests.support.admissions import admission
from tests.support.engines import ASKING, NO_WAIT, params
from tests.support.gateways import client, gateway, settings
from tests.support.held import Gate
from tests.support.target import Target
from tests.support.valkey import Valkey

STUDIO = "https://studio.example.com"


class Around:
    """`app` for requests, without starting and stopping it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._nothing = app, Starlette()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._nothing if scope["type"] == "lifespan" else self._app
        await app(scope, receive, send)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    server = ListeningServer(Around(app), host="127.0.0.1", port=0)
    async with running(server) as url, client(url) as opened:
        yield opened


async def explode(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("secret of the house")


async def explode_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("secret of the house")


class ExplodingEngine(Engine):
    def __init__(self) -> None:
        """Without parts."""

    @property
    def actions(self) -> Any:  # type: ignore[override]
        raise RuntimeError("secret of the house")


async def exploding() -> dict[str, Any]:
    """The state of a gateway that is open to all and whose engine explodes."""
    key_cache = KeyCache(LazyDatabase(Settings(data_dir=Path("/nowhere"))).existing, Sealer(()))
    await key_cache.refresh()
    return {
        "admission": admission(key_cache),
        "rate_limits": RateLimitHeaders(),
        "engine": ExplodingEngine(),
        "actions_enabled": True,
    }


async def exploding_handler(scope: Scope, receive: Receive, send: Send) -> None:
    await create_app(Settings())({**scope, "state": await exploding()}, receive, send)


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), (None, False)]
)
@pytest.mark.parametrize("app", [RequestContext(explode), exploding_handler])
async def test_a_fault_is_a_problem_with_the_id_of_its_request(
    caplog: pytest.LogCaptureFixture, app: ASGIApp, given: str | None, kept: bool
) -> None:
    """500 that says nothing of the house; the log has the request and the traceback."""
    async with serving(app) as relay:
        headers = {"X-Request-ID": given} if given else {}
        answer = await relay.get("/actions", headers=headers)

    request_id = answer.headers["X-Request-ID"]
    assert request_id == given if kept else UUID(request_id).version == 4
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["code"], body["request_id"]) == ("internal_error", request_id)
    assert "secret" not in answer.text
    [record] = caplog.records
    assert record.getMessage() == "http.failed"
    assert record.exc_info
    assert record.exc_info[0] is RuntimeError
    assert answer.headers.get_list("X-Request-ID") == [request_id]


async def test_a_fault_within_an_answer_breaks_it_off(caplog: pytest.LogCaptureFixture) -> None:
    """Half an answer must not look whole, and no second one follows it."""
    async with serving(RequestContext(explode_late)) as relay:
        with pytest.raises(httpx2.RemoteProtocolError):
            await relay.get("/")

    assert [record.getMessage() for record in caplog.records] == ["http.failed"]


async def test_a_fault_within_an_answer_begins_no_other() -> None:
    """What went out stays as it is."""
    sent = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await RequestContext(explode_late)(
        {"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send
    )

    assert sent == ["http.response.start", "http.response.body"]


async def test_closing_waits_for_the_runs(valkey: Valkey, target: Target, tmp_path: Path) -> None:
    """Egress and store stay open until a run without a caller is stored."""
    gate = Gate(target)
    async with open_gateway(settings(valkey.url, tmp_path)) as state:
        engine = state["engine"]
        made = await engine.preview(ASKING, "webhook.save", params(target.url))
        preview_id = msgspec.json.decode(made.document)["preview_id"]
        caller = asyncio.create_task(engine.execute(ASKING, preview_id, key=None, wait=NO_WAIT))
        await target.arrived.wait()
        caller.cancel()
        asyncio.get_running_loop().call_later(0.1, gate.open.set)

    with valkey.client() as client:
        [run] = client.keys(names.run_prefix("w") + "*")
        assert client.hget(run, "state") == b"success"


async def test_a_client_that_leaves_in_its_body_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is logged as an error; the status is nginx's, for metrics and the line."""
    sent: list[Message] = []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/actions/execute",
        "headers": [(b"content-type", b"application/json")],
        "query_string": b"",
        "state": await exploding(),
    }
    await create_app(Settings())(scope, gone, send)

    assert sent[0]["status"] == 499
    assert b"x-request-id" in dict(sent[0]["headers"])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", ["/actions/preview", "/actions/execute", "/runs/1", "/previews/1"])
async def test_without_a_store_nothing_is_promised(target: Target, path: str) -> None:
    """503 that may be retried, on whatever touches the store; the gateway itself is alive."""
    params = {"url": target.url}
    asked = {
        "/actions/preview": {"action": "webhook.save", "params": params},
        "/actions/execute": {"preview_id": "1"},
    }
    short = timedelta(seconds=0.1)
    async with gateway("unix:///nonexistent/valkey.sock", action_timeout=short) as relay:
        method = "POST" if path in asked else "GET"
        answer = await relay.request(method, path, json=asked.get(path))
        ready, health = await relay.get("/ready"), await relay.get("/health")

    body = answer.json()
    assert (answer.status_code, body["code"]) == (503, "store_unavailable")
    assert (answer.headers["Retry-After"], body["safe_to_retry"]) == ("1", True)
    assert (ready.status_code, ready.json()["detail"]) == (503, "Failed: store.")
    assert health.status_code == 200
    assert target.connections == 0


async def test_a_browser_of_a_named_origin_may_call(valkey: Valkey) -> None:
    """It may send what a call needs and read what an answer holds; others may not."""
    ask = {"Access-Control-Request-Method": "POST", "Origin": STUDIO}
    wanted = {"Access-Control-Request-Headers": "content-type,idempotency-key,prefer,x-request-id"}
    async with gateway(valkey.url, cors_origins=(STUDIO,)) as relay:
        preflight = await relay.options("/actions/execute", headers={**ask, **wanted})
        answer = await relay.post("/actions/execute", headers={"Origin": STUDIO})
        other = await relay.get("/health", headers={"Origin": "https://evil.example.com"})

    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == STUDIO
    assert "X-Request-ID" in preflight.headers
    assert answer.status_code == 415
    assert answer.headers["Access-Control-Allow-Origin"] == STUDIO
    exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
    for name in ("idempotency-expires", "idempotent-replayed", "location", "retry-after"):
        assert name in exposed
    assert "x-request-id" in exposed
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_browsers_may_call_only_from_configured_origins(valkey: Valkey) -> None:
    """Without CORS_ORIGINS there is no CORS."""
    async with gateway(valkey.url) as relay:
        answer = await relay.get("/health", headers={"Origin": STUDIO})

    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
