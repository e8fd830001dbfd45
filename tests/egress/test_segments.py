"""The outcome is that of the head, however TCP cuts the answer into segments."""

import time

import pytest

from gateway.egress.answer import HEAD_MAX, INTERIM_MAX, PARTS_MAX
from gateway.egress.client import Egress
from gateway.outcomes import Answered, NoResponse
from tests.egress.test_client import effect, egress, send
from tests.support.segments import segments
from tests.support.target import Target, status

__all__ = ["egress"]  # the fixture

KIB = 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/plain; charset=utf-16\r\n\r\n"


def answered(code: int, text: str = "", *, truncated: bool = False) -> Answered:
    return Answered(status_code=code, response=text, truncated=truncated)


def fields(count: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"X-Field: value\r\n" * (count - 1) + EMPTY


def chunks(count: int) -> bytes:
    """So many chunks of a byte, and the last one."""
    return CHUNKED + b"1\r\na\r\n" * count + b"0\r\n\r\n"


def head(size: int) -> bytes:
    """A head of so many bytes."""
    start = b"HTTP/1.1 200 OK\r\nX-Long: "
    return start + b"a" * (size - len(start) - len(EMPTY) - 2) + b"\r\n" + EMPTY


HEADS = {
    "204 with a body": (b"HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\nabc", answered(204)),
    "204 and bytes": (b"HTTP/1.1 204 X\r\n\r\nabc", answered(204)),
    "204 in chunks": (
        b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        answered(204),
    ),
    "304 with a body": (b"HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\nabc", answered(304)),
    "bytes behind": (b"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\nabc", answered(200, "a")),
    "bytes behind, closing": (
        b"HTTP/1.1 500 X\r\nConnection: close\r\nContent-Length: 1\r\n\r\nabc",
        answered(500, "a"),
    ),
    "bad first chunk": (CHUNKED + b"zz\r\n", answered(200, truncated=True)),
    "bad later chunk": (CHUNKED + b"2\r\naa\r\nzz\r\n", answered(200, "aa", truncated=True)),
    "bad end of a chunk": (CHUNKED + b"2\r\naaXX0\r\n\r\n", answered(200, "aa", truncated=True)),
    "chunk too large": (CHUNKED + b"F" * 17 + b"\r\n", answered(200, truncated=True)),
    "128 fields": (fields(128), answered(200)),
    "129 fields": (fields(129), answered(200)),
    "5,000 fields": (fields(5000), answered(200)),
    "most fields": (fields(PARTS_MAX), answered(200)),
    "most chunks": (chunks(PARTS_MAX - 2), answered(200, "a" * (PARTS_MAX - 2))),
    "too many chunks": (
        chunks(PARTS_MAX - 1),
        answered(200, "a" * (PARTS_MAX - 1), truncated=True),
    ),
    "too many trailers": (
        CHUNKED + b"1\r\na\r\n0\r\n" + b"X: y\r\n" * PARTS_MAX + b"\r\n",
        answered(200, "a", truncated=True),
    ),
    "64 KiB": (head(64 * KIB), answered(200)),
    "largest head": (head(HEAD_MAX), answered(200)),
    "101": (
        b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\njunk",
        answered(101),
    ),
    "101 alone": (b"HTTP/1.1 101 X\r\n\r\njunk", answered(101)),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + fields(1), answered(200)),
    "headers of 103": (
        EARLY + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        answered(200, "a"),
    ),
    "most interim answers": (EARLY * INTERIM_MAX + fields(1), answered(200)),
    "status 100 to 599": (b"HTTP/1.1 599 X\r\n" + EMPTY, answered(599)),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 1\n\na", answered(200, "a")),
    "folded": (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n" + EMPTY, answered(200)),
    "spaces behind a size": (CHUNKED + b"1 \r\na\r\n0\r\n\r\n", answered(200, "a")),
    "two answers": (fields(1) + b"HTTP/1.1 500 X\r\n" + EMPTY, answered(200)),
    "trailers": (
        CHUNKED + b"1\r\na\r\n0\r\nContent-Type: text/plain; charset=utf-16\r\n\r\n",
        answered(200, "a"),
    ),
}
NO_HEADS = {
    "099": b"HTTP/1.1 099 X\r\n" + EMPTY,
    "1000": b"HTTP/1.1 1000 X\r\n" + EMPTY,
    "600": b"HTTP/1.1 600 X\r\n" + EMPTY,
    "799": b"HTTP/1.1 799 X\r\n" + EMPTY,
    "20": b"HTTP/1.1 20 X\r\n" + EMPTY,
    "-200": b"HTTP/1.1 -200 X\r\n" + EMPTY,
    "head too large": head(HEAD_MAX + 1),
    "too many fields": fields(PARTS_MAX + 1),
    "too many interim answers": EARLY * (INTERIM_MAX + 1) + fields(1),
    "endless 103": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 12_000,
    "body first": b'{"ok": true}\r\n\r\n',
    "no colon": b"HTTP/1.1 200 OK\r\nX y\r\n\r\n",
    "zero byte": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n" + EMPTY,
    "length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + EMPTY,
    "length too large": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    "line breaks": b"\r\n" * (HEAD_MAX // 2 + 1),
}
MANY = pytest.mark.parametrize("many", [False, True], ids=["one segment", "many"])


@MANY
@pytest.mark.parametrize(("data", "outcome"), HEADS.values(), ids=HEADS)
async def test_a_whole_head_is_the_outcome(
    egress: Egress, target: Target, data: bytes, outcome: Answered, many: bool
) -> None:
    """Nothing waits for the deadline, and what the body lacks is marked."""
    target.answer, began = segments(data, many=many), time.monotonic()
    assert await send(egress, effect(target.url), within=30) == outcome
    assert time.monotonic() - began < 15


@MANY
@pytest.mark.parametrize("data", NO_HEADS.values(), ids=NO_HEADS)
async def test_what_is_no_head_is_unknown(
    egress: Egress, target: Target, data: bytes, many: bool
) -> None:
    """The target may have acted on the request. Nothing waits for the deadline here either."""
    target.answer, began = segments(data, many=many), time.monotonic()
    outcome = await send(egress, effect(target.url), within=30)
    assert outcome == NoResponse("The target answered something that is not HTTP.")
    assert time.monotonic() - began < 15


@MANY
@pytest.mark.parametrize(
    "name", ["204 with a body", "204 and bytes", "bytes behind", "two answers"]
)
async def test_bytes_behind_an_answer_close_its_connection(
    egress: Egress, target: Target, name: str, many: bool
) -> None:
    """They do not become the answer to the next request."""
    data, outcome = HEADS[name]
    target.answer = segments(data, many=many, then=status(200, b""))
    assert await send(egress, effect(target.url)) == outcome
    target.answer = status(200, b"next")
    outcomes = [await send(egress, effect(target.url)) for _ in range(3)]
    assert outcomes == [answered(200, "next")] * 3
    assert target.connections > 1
