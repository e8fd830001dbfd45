"""How a body may be typed and coded."""

import httpx2
import pytest

from tests.api.test_endpoints import problem
from tests.http.test_requests import exchange
from tests.support.gateways import Relay

BODY = b'{"preview_id": "x"}'
JSON = ("Content-Type", "application/json")


async def posted(relay: Relay, *headers: tuple[str, str]) -> httpx2.Response:
    return await relay.post("/actions/execute", content=BODY, headers=httpx2.Headers([*headers]))


@pytest.mark.parametrize("other", ["application/json", "text/plain", ""])
async def test_two_content_types(relay: Relay, other: str) -> None:
    """400, also where both say the same."""
    problem(await posted(relay, JSON, ("Content-Type", other)), 400, "invalid_request")


@pytest.mark.parametrize("coding", ["gzip", "identity", "br, gzip", ""])
async def test_a_coded_body(relay: Relay, coding: str) -> None:
    """415: Relay decodes no content coding (RFC 9110, 15.5.16)."""
    response = await posted(relay, JSON, ("Content-Encoding", coding))
    problem(response, 415, "unsupported_media_type")


async def test_white_space_behind_a_value_is_no_part_of_it(relay: Relay) -> None:
    """RFC 9112, 5.1: `a` and `a ` are one key, so this is a preview that does not exist."""
    for key in (b"a", b"a ", b"a\t ", b" a"):
        line = b"Idempotency-Key:%s\r\nContent-Length: %d\r\n" % (key, len(BODY))
        _, answer = await exchange(relay, line, BODY)
        assert answer["code"] == "preview_not_found"
