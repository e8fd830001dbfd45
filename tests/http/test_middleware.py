"""Every response has its request's id and the CORS headers it needs."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.config.settings import STUDIO, Settings
from gateway.http.cors import ALLOWED_HEADERS, EXPOSED_HEADERS
from gateway.http.middleware import RequestContext
from stores.redis import names
from tests.api.test_endpoints import problem
from tests.support.gateways import Relay, gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

ORIGIN = "https://studio.example.com"
JSON = {"Content-Type": "application/json"}


def is_new(request_id: str) -> bool:
    return len(request_id) == 36 and UUID(request_id).version == 4


GIVEN_IDS = [
    (["a"], True),
    (["A-Za-z.0_9"], True),
    (["a" * 64], True),
    (["a" * 65], False),
    ([""], False),
    (["a b"], False),
    (["a/b"], False),
    (["a;b"], False),
    (["a:b"], False),
    (["a\tb"], False),
    (["é"], False),
    (["a", "b"], False),
    (["a", "a"], False),
    ([], False),
]


async def test_a_well_formed_id_is_kept(relay: Relay, subtests: pytest.Subtests) -> None:
    """One header with 1 to 64 letters, digits, dots, underscores and hyphens; otherwise the id is a
    new UUID4.
    """
    for given, taken in GIVEN_IDS:
        with subtests.test(str(given)):
            headers = [(b"X-Request-ID", value.encode("latin-1")) for value in given]
            response = await relay.get("/health", headers=headers)
            [request_id] = response.headers.get_list("x-request-id")
            assert response.json()["request_id"] == request_id
            assert request_id == given[0] if taken else is_new(request_id)


async def test_ids_are_unique(relay: Relay) -> None:
    """No two requests share one."""
    made = {(await relay.get("/health")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


async def asked_of(relay: Relay, valkey: Valkey, target: Target) -> AsyncIterator[httpx2.Response]:
    """One response of each kind, in the order of ANSWERS."""
    yield await relay.get("/health")
    yield await relay.post("/actions/execute", content=b"", headers=JSON)
    yield await relay.get("/nothing")
    yield await relay.get("/actions/execute")
    yield await relay.post("/actions/execute", content=b" " * 300_000, headers=JSON)
    yield await relay.post("/actions/execute", content=b"{}", headers={"Content-Type": "a/b"})
    yield await relay.post("/actions/preview", json={"action": "x", "params": {}})
    yield await relay.execute(await broken_preview(relay, valkey, target))
    yield await relay.options("/health")


ANSWERS = [200, 400, 404, 405, 413, 415, 422, 500, 405]


async def broken_preview(relay: Relay, valkey: Valkey, target: Target) -> str:
    preview_id = await relay.preview_id(target.url)
    with valkey.client() as redis:
        redis.hset(names.preview("default", preview_id), "doc", "not JSON")
    return preview_id


@pytest.mark.parametrize("origins", [(), (ORIGIN,)])
async def test_every_response_has_its_id(
    valkey: Valkey, target: Target, origins: tuple[str, ...]
) -> None:
    """Once in the header, and the same in the body, with and without CORS."""
    statuses = []
    async with gateway(valkey.url, cors_origins=origins) as relay:
        relay.headers["X-Request-ID"] = "asked-1"
        async for response in asked_of(relay, valkey, target):
            statuses.append(response.status_code)
            assert response.headers.get_list("x-request-id") == ["asked-1"]
            assert response.json()["request_id"] == "asked-1"
            if response.status_code != 200:
                problem(response, response.status_code, response.json()["code"])
    assert statuses == ANSWERS


async def test_allowed_origins_can_read_every_response(valkey: Valkey, target: Target) -> None:
    """Errors too, and the exposed headers."""
    statuses = []
    async with gateway(valkey.url, cors_origins=(ORIGIN,)) as relay:
        relay.headers["Origin"] = ORIGIN
        async for response in asked_of(relay, valkey, target):
            statuses.append(response.status_code)
            assert response.headers["access-control-allow-origin"] == ORIGIN
            exposed = response.headers["access-control-expose-headers"].split(", ")
            assert exposed == EXPOSED_HEADERS
            assert "Origin" in response.headers["vary"]
    assert statuses == ANSWERS


async def test_a_preflight_is_answered(valkey: Valkey) -> None:
    """With its own id, the allowed methods and headers, and no credentials."""
    async with gateway(valkey.url, cors_origins=(ORIGIN,)) as relay:
        response = await preflight(relay, ORIGIN)
    assert response.status_code == 200
    assert is_new(response.headers["x-request-id"])
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-methods"] == "GET, POST, PUT, DELETE, OPTIONS"
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert {name.lower() for name in ALLOWED_HEADERS} <= set(allowed)
    assert "access-control-allow-credentials" not in response.headers


async def test_a_refused_preflight_gets_a_problem(valkey: Valkey) -> None:
    """It names what is not allowed, and an allowed origin can read it."""
    async with gateway(valkey.url, cors_origins=(ORIGIN,)) as relay:
        for origin, method, detail in (
            ("https://evil.example", "POST", "Disallowed CORS origin."),
            (ORIGIN, "PATCH", "Disallowed CORS method."),
        ):
            headers = {"Origin": origin, "Access-Control-Request-Method": method}
            refused = await relay.options("/keys", headers=headers)
            assert problem(refused, 400, "invalid_request")["detail"] == detail
            allowed = refused.headers.get("access-control-allow-origin")
            assert allowed == (origin if origin == ORIGIN else None)
            assert int(refused.headers["content-length"]) == len(refused.content)


async def test_another_origin_is_not_allowed(valkey: Valkey, subtests: pytest.Subtests) -> None:
    """Neither in a preflight nor in a response; a part of an origin is another origin."""
    others = ("https://evil.example", "null", f"{ORIGIN}.evil.example", "http://studio.example.com")
    async with gateway(valkey.url, cors_origins=(ORIGIN,)) as relay:
        for origin in others:
            with subtests.test(origin):
                answer = await relay.get("/health", headers={"Origin": origin})
                for response in (await preflight(relay, origin), answer):
                    assert "access-control-allow-origin" not in response.headers
                    assert "x-request-id" in response.headers


async def test_production_allows_no_origin_by_default(valkey: Valkey) -> None:
    """No response has a CORS header, and OPTIONS is an unknown method."""
    async with gateway(valkey.url, env="production") as relay:
        for origin in (ORIGIN, *STUDIO):
            problem(await preflight(relay, origin), 405, "method_not_allowed")
            response = await relay.get("/health", headers={"Origin": origin})
            names = [*response.headers, *(await relay.get("/health")).headers]
            assert not [name for name in names if name.startswith("access-control")]
            assert "vary" not in names


@pytest.mark.parametrize("origin", STUDIO)
async def test_development_allows_a_local_studio(relay: Relay, origin: str) -> None:
    """Only that; configured origins replace it."""
    assert (await preflight(relay, origin)).status_code == 200
    answer = await relay.get("/health", headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    other = await relay.get("/health", headers={"Origin": origin.replace("5173", "5174")})
    assert "access-control-allow-origin" not in other.headers
    assert Settings(cors_origins=(ORIGIN,)).origins == (ORIGIN,)


async def preflight(relay: Relay, origin: str) -> httpx2.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key",
    }
    return await relay.options("/actions/execute", headers=headers)


async def test_what_a_page_may_send_and_see() -> None:
    """The documented headers, each by name."""
    sent = """Authorization Content-Type Idempotency-Key If-Match Prefer X-Request-ID X-Signature
    traceparent tracestate baggage sentry-trace MCP-Protocol-Version Mcp-Method Mcp-Name"""
    assert set(sent.split()) == set(ALLOWED_HEADERS)
    seen = """ETag Idempotent-Replayed Idempotency-Expires Location RateLimit RateLimit-Policy
    Retry-After X-Request-ID X-Trace-Link"""
    assert set(seen.split()) == set(EXPOSED_HEADERS)


def failing(*, after: str | None) -> RequestContext:
    """An app that fails before it answers, or after its first message."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if after:
            await send({"type": after, "status": 200, "headers": []})
        raise RuntimeError("hunter2")

    return RequestContext(app)


SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "headers": [(b"x-request-id", b"asked-1")],
}


async def messages_of(app: RequestContext) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({**SCOPE}, receive, send)
    return sent


async def test_an_unhandled_error_gets_a_problem() -> None:
    """The outermost layer answers without the reason."""
    start, body = await messages_of(failing(after=None))
    assert start["status"] == 500
    headers = dict(start["headers"])
    assert headers[b"x-request-id"] == b"asked-1"
    assert headers[b"content-type"] == b"application/problem+json"
    assert b'"code":"internal_error"' in body["body"]
    assert b'"request_id":"asked-1"' in body["body"]
    assert b"hunter2" not in body["body"]


async def test_a_broken_response_gets_no_second_one() -> None:
    """Once the status is sent, no problem can follow."""
    [start] = await messages_of(failing(after="http.response.start"))
    assert start["status"] == 200
    assert dict(start["headers"]) == {b"x-request-id": b"asked-1"}
