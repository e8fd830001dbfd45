"""A client that sends slowly, or too much at once, costs Relay little and other callers nothing."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from gateway.app import create_app
from gateway.http.protocol import PATIENCE, Patience, ProblemProtocol
from gateway.http.server import ListeningServer, running
from tests.http.test_raw_requests import answers_to
from tests.support.gateways import Relay, client, gateway_process, settings, until
from tests.support.raw_requests import chunked, fields, posted
from tests.support.valkey import Valkey

GET = fields(b"Host: a")
LAST = fields(b"Host: a", b"Connection: close")
SHORT = Patience(head=0.2, body=0.4)
UNFINISHED = {
    "nothing": (b"",),
    "a line": (b"GET /version HTTP/1.1\r\n",),
    "a head": (b"GET /version HTTP/1.1\r\nHost: a\r\n",),
    "a head behind a request": (GET + b"GET /version HTTP/1.1\r\n",),
    "a body": (posted(b"Content-Length: 3\r\n", b"{}"),),
    "no chunk": (chunked(b""),),
    "a chunk": (chunked(b"2\r\n{}\r\n"),),
    "no last empty line": (chunked(b"2\r\n{}\r\n0\r\n"),),
    "a body that nobody reads": (
        b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    ),
}


@asynccontextmanager
async def patient(valkey: Valkey, folder: Path, patience: Patience) -> AsyncIterator[Relay]:
    app = create_app(settings(valkey.url, folder))
    server = ListeningServer(app, host="127.0.0.1", port=0, patience=patience)
    async with running(server) as url, client(url) as relay:
        yield relay


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
async def test_an_unfinished_request_ends(
    valkey: Valkey, tmp_path: Path, sent: tuple[bytes, ...]
) -> None:
    """With a 408 where something of it was sent and nothing answered, and without a response
    otherwise.
    """
    async with patient(valkey, tmp_path, SHORT) as relay:
        started = time.monotonic()
        answered = await answers_to(relay, *sent)
        assert 0.15 < time.monotonic() - started < 3
    last = answered.rpartition(b"HTTP/1.1 ")[2]
    assert last[:3] == (b"" if sent == (b"",) else b"404" if b"/nothing" in sent[0] else b"408")


async def test_slow_bytes_do_not_extend_it(valkey: Valkey, tmp_path: Path) -> None:
    """The time counts from the first byte of a head, also on a connection that served before."""
    async with patient(valkey, tmp_path, SHORT) as relay:
        reader, writer = await asyncio.open_connection(relay.base_url.host, relay.base_url.port)
        writer.write(GET)
        await reader.readuntil(b"}")
        started = time.monotonic()
        reading = asyncio.create_task(reader.read())
        for byte in GET * 100:
            writer.write(bytes([byte]))
            await asyncio.wait({reading}, timeout=0.02)
            if reading.done():
                break
        assert 0.15 < time.monotonic() - started < 1
        assert (await reading).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_an_idle_connection_is_kept(valkey: Valkey, tmp_path: Path) -> None:
    """Also behind a response that did not wait for the end of its request."""
    early = b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    async with patient(valkey, tmp_path, SHORT) as relay:
        reader, writer = await asyncio.open_connection(relay.base_url.host, relay.base_url.port)
        for sent in (GET, early, b"{       }", b"\r\n", GET):
            writer.write(sent)
            if sent.strip() not in (b"", b"{       }"):
                await reader.readuntil(b"}")
            await asyncio.sleep(SHORT.body / 2 if sent == early else SHORT.body * 1.5)
        assert not reader.at_eof()
        writer.close()


def test_the_times_in_production() -> None:
    """10 s for a head, 30 s for a body."""
    assert Patience(head=10, body=30) == PATIENCE


@pytest.mark.slow
async def test_half_open_connections_leave_room_for_others(relay: Relay) -> None:
    """2,000 of them, of every kind, while requests are served."""
    url = relay.base_url
    kinds = [b"", GET[:-2], posted(b"Content-Length: 3\r\n", b"{}"), b"G"]
    writers = []
    for at in range(2000):
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(kinds[at % len(kinds)])
        writers.append(writer)
    slowest = 0.0
    for _ in range(50):
        started = time.monotonic()
        assert (await relay.get("/health")).status_code == 200
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 0.5
    for writer in writers:
        await dropped(writer)


async def dropped(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


def resident(pid: int) -> int:
    """Bytes of memory that the process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


async def test_pipelining_does_not_take_memory(valkey: Valkey) -> None:
    """2.7 MB of requests on ten connections, all of them answered or cut off: what the process
    holds stays bounded, and another client is served meanwhile.
    """
    burst = GET * (270_000 // len(GET))
    with gateway_process({"REDIS_URL": valkey.url}) as process:
        async with client(process.url) as relay, AsyncExitStack() as stack:
            assert (await relay.get("/health")).status_code == 200
            before = resident(process.process.pid)
            for _ in range(10):
                url = relay.base_url
                _, writer = await asyncio.open_connection(url.host, url.port)
                stack.push_async_callback(dropped, writer)
                writer.write(burst)
            held, slowest = 0, 0.0
            for _ in range(40):
                started = time.monotonic()
                assert (await relay.get("/health")).status_code == 200
                slowest = max(slowest, time.monotonic() - started)
                held = max(held, resident(process.process.pid))
            assert held - before < 40_000_000
            assert slowest < 0.3


async def test_a_closed_connection_leaves_nothing_to_collect(relay: Relay) -> None:
    """Without a cycle of references, memory is free at once and not after a collection."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await answers_to(relay, GET + GET + LAST)
            await answers_to(relay, b"GARBAGE\r\n\r\n")

        async def free() -> bool:
            kept = [one for one in gc.get_objects() if isinstance(one, ProblemProtocol)]
            return len(kept) <= 1

        await until(free, patience=3)
    finally:
        gc.enable()


async def half_a_response(scope: Scope, receive: Receive, send: Send) -> None:
    """More than the kernel takes for a client that does not read."""
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    part = {"type": "http.response.body", "body": bytes(8_000_000), "more_body": True}
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            for _ in range(2):
                await send(part)
                await asyncio.sleep(0)  # the write happens at the end of a turn
            await send(part)


async def test_half_a_response_that_is_not_read_is_dropped() -> None:
    """When the app gives it up: it does not wait for the client."""
    server = ListeningServer(half_a_response, host="127.0.0.1", port=0)
    async with running(server) as url:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1)
        writer.write(GET)
        await reader.readexactly(9)

        async def dropped() -> bool:
            return not server.server_state.connections

        await until(dropped, 5)
        writer.close()
