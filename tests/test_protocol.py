"""What is not HTTP is refused like everything else: a problem, with a request id."""

import asyncio
import json
from typing import Any

import pytest

from tests.gateways import Relay


async def answered(relay: Relay, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers in lower case and JSON of the answer to bytes on a connection."""
    url = relay.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(sent)
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
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
async def test_what_cannot_be_parsed_is_a_problem(
    relay: Relay, sent: bytes, status: int, code: str
) -> None:
    """The connection is closed behind a problem whose request_id is that of its header."""
    got, headers, body = await answered(relay, sent)
    assert (got, body["status"], body["code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == body["request_id"]
    assert headers["connection"] == "close"
    assert ("allow" in headers) == (status == 405)
