"""The outcomes of a send, on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.config.secret import Secret
from gateway.effects import Effect
from gateway.egress.client import Egress, open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import Answered, NoResponse, NotSent, Outcome, TargetRefused
from gateway.signatures import verify
from tests.support.gateways import LOOPBACK, unsigned
from tests.support.target import Answer, Target, hang, listening, reset, status

SECRET = Secret(b"key")
HEADERS = {"Accept": "*/*", "X-Custom": "a b"}
# Seconds that a test waits for what will not come.
SHORT = 0.15


def effect(url: str, method: str = "POST", body: bytes | None = b'{"a": 1}', **more: Any) -> Effect:
    return Effect(method=method, url=url, headers=HEADERS, body=body, summary="", **more)


async def send(egress: Egress, effect: Effect, *, within: float = 10.0) -> Outcome:
    return await egress.send(
        effect, workspace="w", run_id="run-1", deadline=time.monotonic() + within
    )


@asynccontextmanager
async def egress_to(*, hosts: tuple[str, ...] = (), **options: Any) -> AsyncIterator[Egress]:
    guard = Guard(hosts=hosts, networks=LOOPBACK)
    async with open_egress(guard, options.pop("secrets", unsigned), **options) as opened:
        yield opened


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with egress_to() as opened:
        yield opened


def raw(data: bytes, then: Answer | None = None) -> Answer:
    """Send these bytes, and then another response or the end of the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then:
            await then(reader, writer)
        else:
            writer.close()

    return answer


@pytest.mark.parametrize(
    ("code", "success"),
    [(200, True), (201, True), (299, True), (300, False), (404, False), (410, False), (500, False)],
)
async def test_the_status_decides_the_outcome(
    egress: Egress, target: Target, code: int, success: bool
) -> None:
    """2xx is a success and all else is not; the text of the response is kept."""
    target.answer = status(code, "grüß".encode())
    outcome = await send(egress, effect(target.url))
    assert outcome == Answered(status_code=code, response="grüß", truncated=False)
    assert outcome.success is success
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(egress: Egress, target: Target, code: int) -> None:
    """It is the response, and no request goes to its location."""
    async with listening() as elsewhere:
        target.answer = status(code, b"", f"Location: {elsewhere.url}")
        outcome = await send(egress, effect(target.url))
        assert outcome == Answered(status_code=code, response="", truncated=False)
        assert (len(target.deliveries), elsewhere.connections) == (1, 0)


async def test_a_silent_target_is_unknown(egress: Egress, target: Target) -> None:
    """The deadline ends the wait; the request was sent once."""
    target.answer = hang
    began = time.monotonic()
    outcome = await send(egress, effect(target.url), within=SHORT)
    assert outcome == NoResponse("The target did not answer in time.")
    assert SHORT <= time.monotonic() - began < SHORT + 2
    assert len(target.deliveries) == 1


@pytest.mark.parametrize(
    "answer", [reset, raw(b""), raw(b"HTTP/1.1 20")], ids=["rst", "fin", "cut"]
)
async def test_a_lost_connection_is_unknown(egress: Egress, target: Target, answer: Answer) -> None:
    """Reset, closed, or cut within the status line: Relay sends nothing again."""
    target.answer = answer
    outcome = await send(egress, effect(target.url))
    assert outcome == NoResponse("The target closed the connection without an answer.")
    assert len(target.deliveries) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x00\xff\x00\xff\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_unknown(egress: Egress, target: Target, answer: bytes) -> None:
    """Garbage has no status, and the target may have acted on the request."""
    target.answer = raw(answer, hang)
    outcome = await send(egress, effect(target.url), within=1)
    assert outcome == NoResponse("The target answered something that is not HTTP.")
    assert len(target.deliveries) == 1


async def test_a_refused_connection_is_not_sent(egress: Egress) -> None:
    """Nothing listens there, so the send may be repeated."""
    async with listening() as gone:
        pass
    outcome = await send(egress, effect(gone.url))
    assert outcome == NotSent("The target refused the connection.")


@pytest.mark.parametrize("within", [-1.0, 0.0])
async def test_after_the_deadline_nothing_is_written(
    egress: Egress, target: Target, within: float
) -> None:
    """Neither on a new connection nor on an open one, which stays usable."""
    assert isinstance(await send(egress, effect(target.url), within=within), NotSent)
    assert not target.deliveries
    await send(egress, effect(target.url))
    assert isinstance(await send(egress, effect(target.url), within=within), NotSent)
    await send(egress, effect(target.url))
    assert len(target.deliveries) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "0.0.0.0", "LOCALHOST."])
async def test_a_private_target_is_forbidden(target: Target, host: str) -> None:
    """Without an exception no connection is made, whatever the name of the host."""
    url = target.url.replace("127.0.0.1", host)
    async with open_egress(Guard(), unsigned) as strict:
        assert isinstance(await send(strict, effect(url)), TargetRefused)
        assert isinstance(await strict.inspect(effect(url), "w"), TargetRefused)
    assert target.connections == 0


async def test_an_allowed_name_is_dialled(target: Target) -> None:
    """The exception is the name; its addresses are tried until one answers."""
    url = target.url.replace("127.0.0.1", "localhost")
    async with open_egress(Guard(hosts=["localhost"]), unsigned) as egress:
        assert isinstance(await send(egress, effect(url)), Answered)
    assert target.deliveries[0].header("host") == url.split("/")[2]


async def test_http_to_a_public_target_is_forbidden_in_production(target: Target) -> None:
    """The send checks the URL again, so a preview from an earlier configuration is not sent."""
    guard = Guard(networks=[ip_network("10.0.0.0/8")], https_only=True)
    async with open_egress(guard, unsigned) as egress:
        outcome = await send(egress, effect("http://93.184.216.34/hook"))
    assert outcome == TargetRefused(
        "Only https:// URLs (in development also http://) can be targets."
    )


async def test_only_the_effect_is_on_the_wire(egress: Egress, target: Target) -> None:
    """Its headers in their order, Host and Content-Length; the library adds nothing."""
    assert await send(egress, effect(target.url + "?q=%2F%C3%A9&&a=+b"))
    [delivery] = target.deliveries
    assert delivery.line == "POST /hook?q=%2F%C3%A9&&a=+b HTTP/1.1"
    host = ("Host", target.url.split("/")[2])
    assert sorted(delivery.headers) == sorted([host, *HEADERS.items(), ("Content-Length", "8")])
    assert delivery.body == b'{"a": 1}'


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT", "PATCH"])
async def test_without_a_body_there_is_no_content_type(
    egress: Egress, target: Target, method: str
) -> None:
    """A length is sent only where HTTP requires one."""
    assert await send(egress, effect(target.url, method, None))
    [delivery] = target.deliveries
    assert delivery.line == f"{method} /hook HTTP/1.1"
    names = {name for name, _ in delivery.headers} - {"Content-Length"}
    assert names == {"Host", *HEADERS}
    if ("Content-Length", "0") not in delivery.headers:
        assert "Content-Length" not in dict(delivery.headers)
        assert method in ("GET", "DELETE")


async def test_the_exact_bytes_are_signed(target: Target) -> None:
    """Signing adds exactly four headers; each secret verifies, and the id is that of the run."""
    async with egress_to(secrets=lambda workspace: (b"new", b"old")) as egress:
        await send(egress, effect(target.url))
        await send(egress, effect(target.url, "GET", None))
    for delivery in target.deliveries:
        headers = {name.lower(): value for name, value in delivery.headers}
        assert headers["webhook-id"] == "run-1"
        assert headers.keys() - {"host", "content-length", "accept", "x-custom"} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "x-signature",
        }
        for secret in (b"new", b"old"):
            assert verify(secret, headers, delivery.body, now=time.time())
