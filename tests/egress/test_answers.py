"""How a response becomes an outcome: hostile bodies and heads on real sockets."""

import asyncio
import gzip
import time

import pytest

from gateway.egress.client import Egress
from gateway.outcomes import Answered, NoResponse
from tests.egress.test_client import SHORT, effect, egress, raw, send
from tests.support.target import Answer, Target, hang, reset, status

__all__ = ["egress"]  # the fixture

KIB = 1024


def drip(start: bytes, each: bytes) -> Answer:
    """Send a piece every 10 ms until the other side gives up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not reader.at_eof() and not writer.is_closing():
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


def endless(start: bytes, each: bytes) -> Answer:
    """Send without a pause."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(each)
            await writer.drain()

    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"


async def kept(egress: Egress, target: Target, answer: Answer, within: float = 10) -> Answered:
    target.answer = answer
    outcome = await send(egress, effect(target.url), within=within)
    assert isinstance(outcome, Answered)
    return outcome


@pytest.mark.parametrize(
    ("size", "length", "truncated"),
    [
        (0, 0, False),
        (16 * KIB - 1, 16 * KIB - 1, False),
        (16 * KIB, 16 * KIB, False),
        (16 * KIB + 1, 16 * KIB, True),
        (64 * KIB, 16 * KIB, True),
        (300 * KIB, 16 * KIB, True),
    ],
)
async def test_the_first_16_kib_are_kept(
    egress: Egress, target: Target, size: int, length: int, truncated: bool
) -> None:
    """A longer body is truncated and marked so."""
    answer = await kept(egress, target, status(200, b"a" * size))
    assert answer == Answered(status_code=200, response="a" * length, truncated=truncated)


@pytest.mark.parametrize(
    ("size", "connections"), [(64 * KIB - 1, 1), (64 * KIB, 1), (1024 * KIB, 2)]
)
async def test_64_kib_are_read(egress: Egress, target: Target, size: int, connections: int) -> None:
    """Such a body is read to its end and keeps the connection; a longer one is left."""
    await kept(egress, target, status(200, b"a" * size))
    await kept(egress, target, status(200))
    assert target.connections == connections


@pytest.mark.parametrize(
    ("start", "each"),
    [(CHUNKED, b"400\r\n" + b"a" * KIB + b"\r\n"), (SIZED, b"a" * KIB), (PLAIN, b"a" * KIB)],
    ids=["chunked", "sized", "until closed"],
)
async def test_an_endless_body_is_cut(
    egress: Egress, target: Target, start: bytes, each: bytes
) -> None:
    """The status decides long before the deadline; the connection is not used again."""
    began = time.monotonic()
    answer = await kept(egress, target, endless(start, each))
    assert answer == Answered(status_code=200, response="a" * 16 * KIB, truncated=True)
    assert time.monotonic() - began < 5
    await kept(egress, target, status(200))
    assert target.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        drip(CHUNKED, b"1\r\na\r\n"),
        drip(SIZED, b"a"),
        raw(SIZED + b"aa", hang),
        raw(SIZED + b"aa"),
        raw(SIZED + b"aa", reset),
        raw(CHUNKED + b"2\r\naa\r\n", hang),
        raw(CHUNKED + b"2\r\naa\r\n"),
    ],
    ids="drip-chunked drip-sized hang fin rst chunked-hang chunked-fin".split(),
)
async def test_a_body_that_never_ends_is_cut_at_the_deadline(
    egress: Egress, target: Target, answer: Answer
) -> None:
    """The head decides; the body is what had arrived."""
    outcome = await kept(egress, target, answer, within=SHORT)
    assert outcome.status_code == 200
    assert outcome.truncated
    assert set(outcome.response) <= {"a"}


async def test_a_body_may_end_with_the_connection(egress: Egress, target: Target) -> None:
    """HTTP/1.0 servers end a body this way."""
    answer = await kept(egress, target, raw(b"HTTP/1.0 200 OK\r\n\r\nhello"))
    assert answer == Answered(status_code=200, response="hello", truncated=False)


@pytest.mark.parametrize("code", [200, 204, 500])
async def test_a_response_without_a_body(egress: Egress, target: Target, code: int) -> None:
    """A 204 needs no wait and keeps the connection."""
    bare = f"HTTP/1.1 {code} X\r\n{'' if code == 204 else 'Content-Length: 0'}\r\n"
    data = bare.encode() + (b"" if code == 204 else b"\r\n")
    for _ in range(2):
        answer = await kept(egress, target, _then_next(data), within=5)
        assert answer == Answered(status_code=code, response="", truncated=False)
    assert target.connections == 1


async def test_an_upgrade_is_a_response(egress: Egress, target: Target) -> None:
    """A 101 is not 2xx; what follows is not read, and the connection is closed."""
    head = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\njunk"
    answer = await kept(egress, target, raw(head, hang), within=5)
    assert (answer.status_code, answer.response, answer.success) == (101, "", False)
    await kept(egress, target, status(200))
    assert target.connections == 2


async def test_interim_responses_are_skipped(egress: Egress, target: Target) -> None:
    """The response after 100 and 103 counts."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await kept(egress, target, raw(hints + PLAIN + b"OK"))
    assert answer == Answered(status_code=200, response="OK", truncated=False)


async def test_endless_interim_responses_are_unknown(egress: Egress, target: Target) -> None:
    """They are no response, and the deadline ends them."""
    target.answer = drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert isinstance(await send(egress, effect(target.url), within=SHORT), NoResponse)


async def test_a_flood_of_interim_responses_is_cut_off(egress: Egress, target: Target) -> None:
    """They and the head of the answer have 256 KiB; the connection is then closed."""
    target.answer = raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40_000, hang)
    outcome = await send(egress, effect(target.url), within=30)
    assert outcome == NoResponse("The target answered something that is not HTTP.")


async def test_a_status_line_that_drips_is_unknown(egress: Egress, target: Target) -> None:
    """It is not complete before the deadline."""
    target.answer = drip(b"HTTP/1.1 200 O", b"O")
    assert isinstance(await send(egress, effect(target.url), within=SHORT), NoResponse)


async def test_a_complete_head_is_the_outcome(egress: Egress, target: Target) -> None:
    """The target has the request, whatever happens to the connection afterwards."""
    target.answer = raw(PLAIN, hang)
    outcome = await send(egress, effect(target.url), within=SHORT)
    assert outcome == Answered(status_code=200, response="", truncated=True)


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 200 OK\r\n", hang),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX y\r\n\r\n"),
    ],
    ids=["line", "drip", "broken"],
)
async def test_an_incomplete_or_broken_head_is_unknown(
    egress: Egress, target: Target, answer: Answer
) -> None:
    """Only a complete head is a response."""
    target.answer = answer
    assert isinstance(await send(egress, effect(target.url), within=SHORT), NoResponse)


@pytest.mark.parametrize("size", [8 * KIB - 100, 12 * KIB])
async def test_a_large_header_is_accepted(egress: Egress, target: Target, size: int) -> None:
    """A 200 with a long cookie or policy is a success."""
    answer = await kept(egress, target, status(200, b"OK", "X-Policy: " + "a" * size))
    assert answer.success


async def test_a_compressed_body_is_not_unpacked(egress: Egress, target: Target) -> None:
    """A compression bomb stays small: its bytes are stored as text."""
    packed = gzip.compress(b"a" * 1024 * KIB)
    answer = await kept(egress, target, status(200, packed, "Content-Encoding: gzip"))
    assert answer.response == packed.decode("utf-8", "replace")


@pytest.mark.parametrize("body", [b"\xff\xfe\x00a", b"\xc3", b"caf\xe9", b"\xed\xa0\x80"])
async def test_a_body_that_is_not_utf8_is_still_text(
    egress: Egress, target: Target, body: bytes
) -> None:
    """Invalid bytes are replaced, so that the outcome can be stored."""
    answer = await kept(egress, target, status(200, body))
    assert "\ufffd" in answer.response
    assert answer.response.encode()


def _then_next(data: bytes) -> Answer:
    """These bytes on a connection that stays open."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer
