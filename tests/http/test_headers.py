"""The default headers of every response."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from gateway.app import create_app
from gateway.http.middleware import RequestContext
from gateway.http.server import ListeningServer, running
from tests.http.test_middleware import ANSWERS, ORIGIN, asked_of, messages_of
from tests.http.test_protocol import answered
from tests.support.gateways import Relay, client, gateway, settings
from tests.support.keyed import keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey
from tests.telemetry.test_ids import preflight

HSTS = "max-age=63072000; includeSubDomains"


@pytest.mark.parametrize(("env", "hsts"), [("development", None), ("production", HSTS)])
async def test_every_response_has_the_default_headers(
    valkey: Valkey, target: Target, tmp_path: Path, env: str, hsts: str | None
) -> None:
    """No store, no sniffing, no referrer; HSTS in production only."""
    statuses = []
    reachable = {"egress_hosts": {"127.0.0.1"}}
    async with keyed_gateway(valkey.url, tmp_path, env=env, **reachable) as keyed:
        async for answer in asked_of(keyed.relay, valkey, target):
            statuses.append(answer.status_code)
            assert answer.headers.get_list("cache-control") == ["no-store"]
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
            assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
            assert answer.headers.get("strict-transport-security") == hsts
    assert statuses == ANSWERS


async def test_preflights_and_malformed_requests_have_them(relay: Relay, target: Target) -> None:
    """Whichever layer wrote the response."""
    assert (await preflight(relay, target)).headers["cache-control"] == "no-store"
    status, headers, _ = await answered(relay, b"GARBAGE\r\n\r\n")
    assert (status, headers["cache-control"]) == (405, "no-store")
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_handler_may_override_a_default() -> None:
    """Its header is sent once."""
    defaults = [(b"cache-control", b"no-store"), (b"x-other", b"1")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        head = [(b"cache-control", b"max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": head})

    [start] = await messages_of(RequestContext(app, default_headers=defaults))
    said = dict(start["headers"])
    assert (said[b"cache-control"], said[b"x-other"]) == (b"max-age=60", b"1")


async def test_a_response_outside_of_cors_varies_too(valkey: Valkey, tmp_path: Path) -> None:
    """For example a 503 to a request that is still uploading when the gateway stops."""
    chosen = settings(valkey.url, tmp_path, cors_origins=(ORIGIN,))
    server = ListeningServer(create_app(chosen), host="127.0.0.1", port=0, grace=0.0)
    async with running(server) as url, client(url) as relay:
        reader, writer = await asyncio.open_connection(relay.base_url.host, relay.base_url.port)
        writer.write(b"POST /actions/preview HTTP/1.1\r\nHost: relay\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 2\r\n")
        writer.write(b"Expect: 100-continue\r\n\r\n")
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")  # it is waited for
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
    writer.close()
    await writer.wait_closed()
    assert head[0] == "http/1.1 503 service unavailable"
    assert "vary: origin" in head


async def test_a_cache_never_takes_one_origin_for_another(valkey: Valkey) -> None:
    """Vary: Origin is on every response once, with or without an origin, and on errors."""
    async with gateway(valkey.url, cors_origins=(ORIGIN,)) as relay:
        for headers in ({}, {"Origin": ORIGIN}, {"Origin": "null"}):
            for path in ("/health", "/nothing"):
                answer = await relay.get(path, headers=headers)
                assert answer.headers.get_list("vary") == ["Origin"]
