"""What is no valid request is refused or cut off, and nothing behind it counts as a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.cli.receiver import Delivery, receiver
from gateway.http.server import ListeningServer, running
from tests.support.gateways import Relay, client
from tests.support.raw_requests import ACCEPTED, REFUSED, fields

NEXT = fields(b"Host: a")


async def answers_to(relay: Relay, *sent: bytes) -> bytes:
    """All that the server answers to these segments until it closes the connection."""
    url = relay.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        async with asyncio.timeout(5):
            for segment in sent:
                writer.write(segment)
                await writer.drain()
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@asynccontextmanager
async def receiving(deliveries: list[Delivery]) -> AsyncIterator[Relay]:
    """What `relay receive` and the sink of `relay smoke` serve."""
    app = receiver(deliveries.append, secret=None)
    server = ListeningServer(app, host="127.0.0.1", port=0)
    async with running(server) as url, client(url) as relay:
        yield relay


async def test_invalid_requests_are_refused(relay: Relay, subtests: pytest.Subtests) -> None:
    """A 4xx or a 501, or no response at all; then the connection is closed."""
    assert len(REFUSED) >= 120
    for name, sent in REFUSED.items():
        for segments in ((sent + NEXT,), (sent, NEXT)):
            with subtests.test(name, segments=len(segments)):
                answered = await answers_to(relay, *segments)
                assert answered.count(b"HTTP/1.1 ") <= 1
                assert answered == b"" or answered[9:12] in (b"400", b"405", b"501"), answered[:80]
                assert answered == b"" or b"\r\nconnection: close\r\n" in answered


async def test_invalid_requests_reach_no_receiver(subtests: pytest.Subtests) -> None:
    """Neither the receiver of the command line nor the sink of the smoke test counts a delivery
    behind an invalid request.
    """
    deliveries: list[Delivery] = []
    async with receiving(deliveries) as relay:
        for name, sent in REFUSED.items():
            with subtests.test(name):
                answered = await answers_to(relay, sent + NEXT)
                assert not answered.startswith(b"HTTP/1.1 2")
                assert not deliveries


async def test_their_valid_neighbours_are_served(relay: Relay, subtests: pytest.Subtests) -> None:
    """Each is one request, and so is the one behind it."""
    last = fields(b"Host: a", b"Connection: close")
    for name, (sent, status) in ACCEPTED.items():
        with subtests.test(name):
            answered = await answers_to(relay, sent + last)
            assert answered.startswith(b"HTTP/1.1 %d " % status), answered[:80]
            assert answered.count(b"HTTP/1.1 ") == 2


async def test_http_1_0_needs_no_host(relay: Relay) -> None:
    """RFC 9112, 3.2."""
    answered = await answers_to(relay, b"GET /version HTTP/1.0\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("coding", "status"), [(b"gzip, chunked", 501), (b"chunked, chunked", 400), (b"br", 501)]
)
async def test_other_transfer_codings(relay: Relay, coding: bytes, status: int) -> None:
    """A coding that Relay does not know is a 501 (RFC 9112, 6.1)."""
    sent = fields(b"Host: a", b"Transfer-Encoding: " + coding)
    assert (await answers_to(relay, sent)).startswith(b"HTTP/1.1 %d " % status)


async def test_a_continue_is_for_1_1_only(relay: Relay) -> None:
    """RFC 9110, 10.1.1: a client of HTTP/1.0 gets no interim response."""
    for version, status in ((b"1.0", b"400"), (b"1.1", b"100")):
        head = b"POST /actions/preview HTTP/%s\r\nHost: a\r\nExpect: 100-continue\r\n" % version
        head += b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        assert (await answers_to(relay, head, b"{}"))[9:12] == status


LARGE = [
    b"GET /version HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    b"GET /version HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 11_000 + b"\r\n",
    b"GET /version?" + b"a" * 65_600 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /actions/preview HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 70_000 + b"\r\n{}\r\n0\r\n\r\n",
    b"POST /actions/preview HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("sent", LARGE, ids=["field", "fields", "target", "extension", "trailer"])
async def test_a_head_that_comes_in_one_read_is_bounded(relay: Relay, sent: bytes) -> None:
    """64 KiB, whether or not its end has been received."""
    answered = await answers_to(relay, sent + NEXT)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"65536 bytes" in answered
    assert answered.count(b"HTTP/1.1 ") == 1
