"""What is kept of an answer: hostile bodies and heads on real sockets."""

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
    """A piece every 10 ms, until the other side gives up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not reader.at_eof() and not writer.is_closing():
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


def endless(start: bytes, each: bytes) -> Answer:
    """As fast as it is taken."""

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
    """What is longer is cut, and said to be cut."""
    answer = await kept(egress, target, status(200, b"a" * size))
    assert answer == Answered(status_code=200, response="a" * length, truncated=truncated)


@pytest.mark.parametrize(
    ("size", "connections"), [(64 * KIB - 1, 1), (64 * KIB, 1), (1024 * KIB, 2)]
)
async def test_64_kib_are_read(egress: Egress, target: Target, size: int, connections: int) -> None:
    """A body up to there is read to its end, which keeps the connection; a longer one is left."""
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
    """The status is the outcome, long before the deadline; the connection is not used again."""
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
    """The head came: that is the outcome, with what there is of the body."""
    outcome = await kept(egress, target, answer, within=SHORT)
    assert outcome.status_code == 200
    assert outcome.truncated
    assert set(outcome.response) <= {"a"}


async def test_a_body_that_ends_with_the_connection_is_whole(
    egress: Egress, target: Target
) -> None:
    """HTTP/1.0 servers end a body so."""
    answer = await kept(egress, target, raw(b"HTTP/1.0 200 OK\r\n\r\nhello"))
    assert answer == Answered(status_code=200, response="hello", truncated=False)


@pytest.mark.parametrize("code", [200, 204, 500])
async def test_an_answer_without_a_body(egress: Egress, target: Target, code: int) -> None:
    """Nothing is waited for after 204, and the connection stays."""
    bare = f"HTTP/1.1 {code} X\r\n{'' if code == 204 else 'Content-Length: 0'}\r\n"
    data = bare.encode() + (b"" if code == 204 else b"\r\n")
    for _ in range(2):
        answer = await kept(egress, target, _then_next(data), within=5)
        assert answer == Answered(status_code=code, response="", truncated=False)
    assert target.connections == 1


async def test_an_upgrade_is_an_answer(egress: Egress, target: Target) -> None:
    """101 is not 2xx; what follows is not read, and the connection is given up."""
    head = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\njunk"
    answer = await kept(egress, target, raw(head, hang), within=5)
    assert (answer.status_code, answer.response, answer.success) == (101, "", False)
    await kept(egress, target, status(200))
    assert target.connections == 2


async def test_hints_are_not_the_answer(egress: Egress, target: Target) -> None:
    """103 and 100 are passed over; the answer behind them counts."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await kept(egress, target, raw(hints + PLAIN + b"OK"))
    assert answer == Answered(status_code=200, response="OK", truncated=False)


async def test_endless_hints_are_unknown(egress: Egress, target: Target) -> None:
    """They are no answer: the deadline ends them."""
    target.answer = drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert isinstance(await send(egress, effect(target.url), within=SHORT), NoResponse)


async def test_a_flood_of_hints_is_cut_off(egress: Egress, target: Target) -> None:
    """After half a megabyte without an answer the connection is ended, long before the deadline."""
    target.answer = raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40_000, hang)
    outcome = await send(egress, effect(target.url), within=30)
    assert outcome == NoResponse("The target closed the connection without an answer.")


async def test_a_status_line_that_drips_is_unknown(egress: Egress, target: Target) -> None:
    """No complete status line before the deadline."""
    target.answer = drip(b"HTTP/1.1 200 O", b"O")
    assert isinstance(await send(egress, effect(target.url), within=SHORT), NoResponse)


async def test_a_complete_head_is_the_outcome(egress: Egress, target: Target) -> None:
    """The target has the request and has said so, whatever it does then."""
    target.answer = raw(PLAIN, hang)
    outcome = await send(egress, effect(target.url), within=SHORT)
    assert outcome == Answered(status_code=200, response="", truncated=True)


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 200 OK\r\n", hang),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        raw(CHUNKED + b"zz\r\n"),
    ],
    ids=["line", "drip", "broken"],
)
async def test_an_incomplete_or_broken_answer_is_unknown(
    egress: Egress, target: Target, answer: Answer
) -> None:
    """Until the head is whole there is no answer to go by."""
    target.answer = answer
    assert isinstance(await send(egress, effect(target.url), within=SHORT), NoResponse)


@pytest.mark.parametrize("size", [8 * KIB - 100, 12 * KIB])
async def test_a_large_header_does_not_hide_the_answer(
    egress: Egress, target: Target, size: int
) -> None:
    """A 200 with a long cookie or policy is a success."""
    answer = await kept(egress, target, status(200, b"OK", "X-Policy: " + "a" * size))
    assert answer.success


async def test_a_compressed_body_is_not_unpacked(egress: Egress, target: Target) -> None:
    """A small bomb stays small: its bytes are text like any other."""
    packed = gzip.compress(b"a" * 1024 * KIB)
    answer = await kept(egress, target, status(200, packed, "Content-Encoding: gzip"))
    assert answer.response == packed.decode("utf-8", "replace")


@pytest.mark.parametrize("body", [b"\xff\xfe\x00a", b"\xc3", b"caf\xe9", b"\xed\xa0\x80"])
async def test_a_body_that_is_not_utf8_is_still_text(
    egress: Egress, target: Target, body: bytes
) -> None:
    """What has no meaning is replaced; the outcome can be stored."""
    answer = await kept(egress, target, status(200, body))
    assert "\ufffd" in answer.response
    assert answer.response.encode()


def _then_next(data: bytes) -> Answer:
    """These bytes on a connection that stays."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer
