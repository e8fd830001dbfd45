"""Bytes that are not HTTP get a problem with a request id."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.gateways import Relay


async def answered(relay: Relay, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers in lower case and JSON of the response to bytes on a connection."""
    url = relay.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(sent)
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest)}
    return int(line.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"FOO /health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
        (b"get /health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
        (b"GET /health HTTP/9.9\r\nHost: a\r\n\r\n", 400, "invalid_request"),
        (b"GET /health HTTP/1.1\r\nHost a\r\n\r\n", 400, "invalid_request"),
        (
            b"POST /actions/preview HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
            b"Content-Length: 3\r\n\r\n{}",
            400,
            "invalid_request",
        ),
    ],
    ids=["unknown method", "lower case", "no such version", "no colon", "two lengths"],
)
async def test_malformed_bytes_get_a_problem(
    relay: Relay, sent: bytes, status: int, code: str
) -> None:
    """Header and body have the same request id, and the connection is closed."""
    got, headers, body = await answered(relay, sent)
    assert (got, body["status"], body["code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == body["request_id"]
    assert headers["connection"] == "close"
    assert ("allow" in headers) == (status == 405)


CHUNKED = b"POST /actions/preview HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED += b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 12_000,
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 70_000,
        b"GET /" + b"a" * 70_000,
        CHUNKED + b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 12_000,
    ],
    ids=["many headers", "a long header", "a long path", "trailers"],
)
async def test_heads_and_trailers_are_bounded(relay: Relay, sent: bytes) -> None:
    """Above 64 KiB the request is refused and its connection closed."""
    status, headers, body = await answered(relay, sent)
    assert (status, body["code"], headers["connection"]) == (400, "invalid_request", "close")
    assert "65536 bytes" in body["detail"]


async def test_large_headers_and_small_chunks_are_accepted(relay: Relay) -> None:
    """Several requests on one connection with 60 KiB of headers, and 60 KB in chunks of 4 bytes."""
    for _ in range(3):
        response = await relay.get("/health", headers={"X-Long": "a" * 60_000})
        assert response.status_code == 200

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(15_000):
            yield b"    "

    typed = {"Content-Type": "application/json"}
    response = await relay.post("/actions/preview", content=chunks(), headers=typed)
    assert response.json()["code"] == "malformed_json"
