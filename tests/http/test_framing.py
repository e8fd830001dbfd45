"""A request ends where its framing says; neither Upgrade nor trailers change that."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import Relay
from tests.support.keyed import keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

JSON = b"Content-Type: application/json\r\n"
UPGRADES = {
    "h2c of Java": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n",
    "websocket": b"Connection: upgrade\r\nUPGRADE: websocket\r\n",
    "kept alive": b"Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.0\r\n",
}
LAST = {
    "closed": (b"1.1", b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"),
    "HTTP/1.0": (b"1.0", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
}
NEXT = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, *segments: bytes) -> None:
        """Send each part in its own segment, after the previous one was read."""
        for segment in segments:
            self._writer.write(segment)
            await self._writer.drain()
            await asyncio.sleep(0.001)

    async def answer(self) -> tuple[int, Any]:
        async with asyncio.timeout(5):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            body = await self._reader.readexactly(int(length))
        return int(head.split()[1]), json.loads(body)

    async def nothing_more(self) -> bool:
        """Whether the server closes after the last response without another."""
        self._writer.write_eof()
        async with asyncio.timeout(5):
            return await self._reader.read() == b""


@asynccontextmanager
async def wired(url: Any) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


def preview_of(target: Target) -> bytes:
    asked = {"action": "webhook.save", "params": {"url": target.url, "body": {"n": 1}}}
    return json.dumps(asked).encode()


def head(path: bytes, *headers: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%s%s\r\n" % (path, JSON, b"".join(headers))


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def single(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("cut", ["whole", "behind the head", "every byte"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_with_upgrade_has_its_body(
    relay: Relay, target: Target, upgrade: bytes, cut: str, framing: str
) -> None:
    """It gets a normal response, and so does the next request on the connection."""
    body = preview_of(target)
    sent = head(b"/actions/preview", upgrade, length(body)), body
    if framing == "chunked":
        sent = (
            head(b"/actions/preview", upgrade, b"Transfer-Encoding: chunked\r\n"),
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
        )
    segments = {"whole": [b"".join(sent) + NEXT], "behind the head": [*sent, NEXT]}
    async with wired(relay.base_url) as wire:
        await wire.send(*segments.get(cut, single(b"".join(sent) + NEXT)))
        status, answer = await wire.answer()
        assert (status, answer.get("action")) == (200, "webhook.save"), answer
        assert (await wire.answer())[1]["name"] == "relay-gateway"
        await wire.send(sent[0] + sent[1])
        assert (await wire.answer())[0] == 200
        assert await wire.nothing_more()


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
async def test_a_body_is_no_request(relay: Relay, upgrade: bytes) -> None:
    """Bytes in the body of a request with Upgrade get no response of their own."""
    async with wired(relay.base_url) as wire:
        await wire.send(head(b"/actions/preview", upgrade, length(NEXT)), NEXT)
        status, answer = await wire.answer()
        assert (status, answer["code"]) == (400, "malformed_json")
        assert await wire.nothing_more()


@pytest.mark.parametrize(("version", "upgrade"), LAST.values(), ids=LAST)
@pytest.mark.parametrize("cut", ["whole", "behind the head", "every byte"])
async def test_an_upgrade_on_the_last_request_is_ignored_too(
    relay: Relay, target: Target, version: bytes, upgrade: bytes, cut: str
) -> None:
    """It has its body, and nothing behind it gets a response."""
    body = preview_of(target)
    sent = head(b"/actions/preview", upgrade, length(body)).replace(b"1.1", version, 1)
    segments = {"whole": [sent + body + NEXT], "behind the head": [sent, body]}
    async with wired(relay.base_url) as wire:
        await wire.send(*segments.get(cut, single(sent + body)))
        status, answer = await wire.answer()
        assert (status, answer.get("action")) == (200, "webhook.save"), answer
        assert await wire.nothing_more()


async def test_a_websocket_request_gets_the_plain_response(relay: Relay) -> None:
    """An Upgrade without a body is ignored."""
    get = NEXT.replace(b"Host: a\r\n", b"Host: a\r\n" + UPGRADES["websocket"])
    async with wired(relay.base_url) as wire:
        await wire.send(get + get)
        for _ in range(2):
            assert (await wire.answer())[1]["name"] == "relay-gateway"


async def test_no_tunnel_is_opened(relay: Relay) -> None:
    """CONNECT is refused, and what follows it is not read."""
    async with wired(relay.base_url) as wire:
        await wire.send(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n" + NEXT)
        status, answer = await wire.answer()
        assert (status, answer["code"]) == (405, "method_not_allowed")
        assert await wire.nothing_more()


async def test_a_refusal_waits_for_the_response_before_it(relay: Relay) -> None:
    """Wherever two requests on a connection are cut, each gets its own response, in order."""
    refused = b"GET /version HTTP/1.1\r\n\r\n"
    for cut in range(1, len(NEXT + refused)):
        async with wired(relay.base_url) as wire:
            await wire.send((NEXT + refused)[:cut], (NEXT + refused)[cut:])
            assert (await wire.answer())[1].get("name") == "relay-gateway", cut
            assert (await wire.answer())[0] == 400
            assert await wire.nothing_more()


FORGED = b"""X-Forwarded-For: 6.6.6.6\r
Idempotency-Key: forged\r
X-Request-ID: 00000000-0000-4000-8000-000000000000\r
"""


async def test_trailers_are_no_headers(valkey: Valkey, tmp_path: Path, target: Target) -> None:
    """No address, key or request id is read from them."""
    proxies = (ip_network("127.0.0.0/8"),)
    async with keyed_gateway(valkey.url, tmp_path, trusted_proxies=proxies) as keyed:
        made = await keyed.relay.preview_id(target.url)
        bearer = b"Authorization: Bearer %s\r\n" % keyed.admin.encode()
        seen = b"X-Forwarded-For: 10.1.1.1\r\n"
        chunked = b"Transfer-Encoding: chunked\r\n"
        asked = json.dumps({"preview_id": made}).encode()
        async with wired(keyed.relay.base_url) as wire:
            # In one segment: the trailers are read before anything of the request is looked at.
            await wire.send(
                head(b"/actions/execute", bearer, seen, chunked)
                + b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(asked), asked, FORGED)
            )
            status, run = await wire.answer()
            assert (status, run["status"]) == (200, "success")
            refusable = head(b"/actions/preview", seen, chunked) + b"2\r\n{}\r\n0\r\n"
            await wire.send(refusable + FORGED + b"\r\n")
            refused = (await wire.answer())[1]
        assert run["request_id"] != "00000000-0000-4000-8000-000000000000"
        replay = await keyed.relay.execute("gone", "forged")
        assert (replay.status_code, refused["code"]) == (404, "unauthenticated")
        await keyed.state["journal"].write()
        found = [value for _, value in await addresses(valkey)]
    assert "10.1.1.1" in found
    assert "6.6.6.6" not in found


async def addresses(valkey: Valkey) -> list[tuple[str, str]]:
    """Event and address of each entry in the outboxes."""
    with valkey.client() as client:
        rows = [row for key in client.scan_iter("*:outbox") for row in client.xrange(key)]
    entries = [json.loads(fields[b"entry"]) for _, fields in rows]
    return [(one["event"], one.get("address", "")) for one in entries if one.get("address")]
