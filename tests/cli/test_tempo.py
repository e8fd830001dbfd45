"""Tempo is asked as its API wants it, and what it answers is a list, a sentence or nothing."""

import asyncio
import base64
import socket
import struct
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.cli.tempo import StoredSpan, Tempo, TempoError
from tests.support.target import Answer, Target, hang, reset, status
from tests.support.tempo import MOMENT_NS, StandIn, exported, made, storing

TRACE_ID = f"{1:032x}"
CANARY = "hunter2"


@pytest.fixture
async def tempo() -> AsyncIterator[StandIn]:
    """It holds traces 1, 2 and 3, of the requests a, b and b; 3 began before 2."""
    stored = exported(
        made("late", 2, parent=1, start_ms=5, attributes={"relay.request_id": "a"}),
        made("early", 1, attributes={"relay.request_id": "a"}),
        made("second", 3, trace_id=2, start_ms=20, attributes={"relay.request_id": "b"}),
        made("first", 4, trace_id=3, start_ms=10, attributes={"relay.request_id": "b"}),
    )
    async with storing(lambda: stored) as opened:
        yield opened


async def spans_of(url: str, trace_id: str = TRACE_ID) -> list[StoredSpan]:
    async with Tempo(url) as tempo:
        return await tempo.spans(trace_id)


async def search(url: str, query: str, limit: int = 20) -> list[str]:
    async with Tempo(url) as tempo:
        return await tempo.search(query, limit=limit)


async def test_the_spans_of_a_trace_in_the_order_of_their_starts(tempo: StandIn) -> None:
    """With times, parents and attributes, and those of no other trace."""
    early, late = await spans_of(tempo.url)

    assert late == StoredSpan(
        span_id=f"{2:016x}",
        parent_span_id=f"{1:016x}",
        name="late",
        started_ns=MOMENT_NS + 5_000_000,
        ended_ns=MOMENT_NS + 6_000_000,
        failed=False,
        attributes={"relay.request_id": "a"},
        links=[],
    )
    assert (early.name, early.parent_span_id) == ("early", "")


async def test_a_trace_that_is_not_there_has_no_spans(tempo: StandIn) -> None:
    """404 is an answer, not an error: it may come yet."""
    assert await spans_of(tempo.url, f"{9:032x}") == []


async def test_spans_of_another_trace_are_not_taken(target: Target) -> None:
    """Whatever answers there, a tree is of the trace that was asked for."""
    target.answer = status(200, exported(made("mine", 1), made("other", 2, trace_id=2)))
    assert [span.name for span in await spans_of(base(target))] == ["mine"]


async def test_a_span_that_was_delivered_twice_is_one() -> None:
    """Exporters that get no answer send again."""
    span = exported(made("once", 1))
    async with storing(lambda: span + span) as tempo:
        assert [span.name for span in await spans_of(tempo.url)] == ["once"]


def pairs() -> Iterable[KeyValue]:
    yield KeyValue(key="number", value=AnyValue(int_value=200))
    yield KeyValue(key="truth", value=AnyValue(bool_value=False))
    yield KeyValue(key="fraction", value=AnyValue(double_value=0.5))
    yield KeyValue(key="list", value=AnyValue(array_value=ArrayValue(values=[AnyValue()])))
    yield KeyValue(key="nothing", value=AnyValue())


async def test_what_a_span_says() -> None:
    """Whether it failed, plain attributes, and the traces that it links to."""
    said = made("said", 1)
    said.status.code = Status.STATUS_CODE_ERROR
    said.attributes.extend(pairs())
    said.links.append(Span.Link(trace_id=(7).to_bytes(16), span_id=(8).to_bytes(8)))
    async with storing(lambda: exported(said)) as tempo:
        [span] = await spans_of(tempo.url)

    assert span.failed
    assert span.attributes == {"number": 200, "truth": False, "fraction": 0.5}
    assert span.links == [f"{7:032x}"]


async def test_a_search_gives_ids_of_32_digits_oldest_first(tempo: StandIn) -> None:
    """Tempo itself leaves leading zeros out and promises no order."""
    assert await search(tempo.url, '{ span.relay.request_id = "b" }') == [
        f"{3:032x}",
        f"{2:032x}",
    ]
    assert await search(tempo.url, '{ span.relay.request_id = "c" }') == []


async def test_a_search_asks_for_a_week_in_seconds(tempo: StandIn) -> None:
    """Tempo 3 wants both ends, and refuses a second more than 168 h."""
    before = int(time.time())
    await search(tempo.url, '{ span.relay.request_id = "a" }', limit=7)

    asked = dict(tempo.requests[0].query_params)
    assert before <= int(asked["end"]) <= time.time()
    assert int(asked["end"]) - int(asked["start"]) == 168 * 3600
    assert asked["limit"] == "7"


async def test_a_refused_query_is_told_in_tempos_words(tempo: StandIn) -> None:
    """The stand-in refuses what it does not know, as Tempo would."""
    with pytest.raises(TempoError, match=r"answered 400: invalid TraceQL query: parse error\.$"):
        await search(tempo.url, "{ nonsense")


async def test_a_user_of_the_url_signs_in_and_is_not_shown(target: Target) -> None:
    """Basic authentication, with what is percent-encoded decoded; no error has the password."""
    target.answer = status(500)
    url = base(target).replace("http://", f"http://me:{CANARY}%40@")
    with pytest.raises(TempoError) as caught:
        await spans_of(url)

    signed = base64.b64encode(f"me:{CANARY}@".encode()).decode()
    assert target.deliveries[0].header("authorization") == f"Basic {signed}"
    assert str(caught.value) == f"Tempo at {base(target)} answered 500: OK."


async def test_a_path_of_the_url_stays(target: Target) -> None:
    """A Tempo may stand behind a prefix, with a slash at its end or without."""
    target.answer = status(404)
    for prefix in ("/tempo", "/tempo/"):
        assert await spans_of(base(target) + prefix) == []
    lines = [delivery.line for delivery in target.deliveries]
    assert lines == [f"GET /tempo/api/traces/{TRACE_ID} HTTP/1.1"] * 2


def base(target: Target) -> str:
    return target.url.removesuffix("/hook")


async def tear(_: StreamReader, writer: StreamWriter) -> None:
    """Begins an answer, and resets the connection (RST)."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    await writer.drain()
    now = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    writer.transport.abort()


NO_TRACES = [
    (status(500, b"too\x1b[2J\nmany"), r"answered 500: too\\x1b\[2J\\nmany\.$"),
    (status(503, b"x" * 1000), r"answered 503: x{300}\.$"),
    (status(401), r"answered 401; TEMPO_URL may be http://user:password@host\.$"),
    (status(403), r"answered 403; TEMPO_URL may be"),
    (status(302, b"", "Location: /login"), r"redirects; TEMPO_URL must be where that leads to\.$"),
    (status(200, b"<html>Sign in</html>"), r"sent a trace that is not protobuf\.$"),
    (status(200, b'{"batches": []}'), r"sent a trace that is not protobuf\.$"),
    (status(200, b"no gzip at all", "Content-Encoding: gzip"), r"cannot be reached: .+\.$"),
    (hang, r"did not answer in 0\.2 s\.$"),
    (reset, r"cannot be reached: Server disconnected.+[^.]\.$"),
    (tear, r"cannot be reached: ReadError\.$"),
]


@pytest.mark.parametrize(("answer", "said"), NO_TRACES)
async def test_what_is_no_trace_is_one_sentence(target: Target, answer: Answer, said: str) -> None:
    """It names Tempo's address, and nothing in it moves the cursor of a terminal."""
    target.answer = answer
    patience = timedelta(seconds=0.2 if answer is hang else 30)
    async with Tempo(base(target), patience=patience) as tempo:
        with pytest.raises(TempoError, match=said) as caught:
            await tempo.spans(TRACE_ID)

    sentence = str(caught.value)
    assert sentence.startswith(f"Tempo at {base(target)} ")
    assert sentence.isprintable()
    assert len(target.deliveries) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"\xff",
        b'{"traces": [{}]}',
        b'{"traces": [{"traceID": 1}]}',
        b'{"traces": [{"traceID": "1", "startTimeUnixNano": "soon"}]}',
    ],
)
async def test_what_is_no_search_result_is_said(target: Target, body: bytes) -> None:
    """Whatever answers there, nothing fails but with a sentence."""
    target.answer = status(200, body)
    with pytest.raises(TempoError, match=r"sent no search result\.$"):
        await search(base(target), "{ }")


@pytest.mark.parametrize("body", [b"{}", b'{"traces": []}', b'{"traces": [{"traceID": "../x"}]}'])
async def test_nothing_that_is_an_id_is_nothing_found(target: Target, body: bytes) -> None:
    """An id goes into the path of the next request."""
    target.answer = status(200, body)
    assert await search(base(target), "{ }") == []


async def test_an_answer_that_trickles_is_cut_off(target: Target) -> None:
    """The deadline is for the whole answer: every byte that comes does not buy another one."""

    async def trickle(_: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-More: more\r\n")
            await asyncio.sleep(0.01)

    target.answer = trickle
    async with Tempo(base(target), patience=timedelta(seconds=0.2)) as tempo:
        with pytest.raises(TempoError, match=r"did not answer in 0\.2 s\.$"):
            await tempo.spans(TRACE_ID)


NO_URLS = [
    "",
    "http://",
    "http://127.0.0.1?a=b",
    "ftp://127.0.0.1",
    f"http://me:{CANARY}@[::1",
    f"http://me:{CANARY}@127.0.0.1:port",
    f"http://me:{CANARY}@127.0.0.1:65536",
    f"http://me:{CANARY}@127.0.0.1:-1",
]


@pytest.mark.parametrize("url", NO_URLS)
async def test_a_url_that_is_none_is_said(url: str) -> None:
    """Without what it holds: that may be a password."""
    with pytest.raises(TempoError, match=r"^TEMPO_URL must be like http://tempo:3200\.$"):
        Tempo(url)
