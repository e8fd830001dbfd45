"""Whatever a server answers, the gate judges it or says in one sentence why not."""

import asyncio
import json
from datetime import timedelta

import pytest

from gateway.cli.gate import prometheus
from gateway.cli.gate.prometheus import Prometheus, Unanswered
from tests.support.target import Answer, Target, hang, reset, status


def vector(*values: str) -> bytes:
    found = [{"metric": {"instance": str(n)}, "value": [1, v]} for n, v in enumerate(values)]
    answer = {"status": "success", "data": {"resultType": "vector", "result": found}}
    return json.dumps(answer).encode()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, target: Target) -> Target:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return target


async def ask(
    server: Target, userinfo: str = "", path: str = "", patience: timedelta = prometheus.PATIENCE
) -> list[prometheus.Series]:
    url = server.url.removesuffix("/hook").replace("://", f"://{userinfo}")
    async with Prometheus(url + path, patience=patience) as prometheus:
        return await prometheus.ask("up", at=1.5)


ERROR = b'{"status": "error", "errorType": "bad_data", "error": "parse error\\u001b[31m\\n at"}'
PARTIAL = vector("1").replace(b'"status"', b'"warnings": ["a store is away"], "status"')
SCALAR = b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}'


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(400, ERROR), "answers: parse error [31m  at"),
        (status(503, ERROR), "answers: parse error"),
        (status(200, b'{"status": "error"}'), "answers: nothing"),
        (status(200, b'{"status": "success"}'), "answers: nothing"),
        (status(200, PARTIAL), "answers in part: a store is away"),
        (status(200, SCALAR), "is no Prometheus"),
        (status(200, b"<html>"), "is no Prometheus"),
        (status(200, b""), "is no Prometheus"),
        (status(502, b"Bad Gateway"), "is no Prometheus: its answer (502)"),
        (status(200, vector("1").replace(b"instance", b"\xff")), "is no Prometheus"),
        (status(302, b"", "Location: http://other/"), "redirects"),
        (status(401, b"Unauthorized"), "wants a user"),
        (status(403, b""), "wants a user"),
        (status(200, b"no gzip", "Content-Encoding: gzip"), "cannot be reached"),
        (reset, "cannot be reached"),
    ],
)
async def test_a_malformed_answer_is_reported(server: Target, answer: Answer, said: str) -> None:
    """One printable line that names the server, and never its password."""
    server.answer = answer
    with pytest.raises(Unanswered) as raised:
        await ask(server, "relay:hunter2@")

    sentence = str(raised.value)
    assert sentence.startswith("http://127.0.0.1:")
    assert said in sentence
    assert sentence.isprintable()
    assert "hunter2" not in sentence


@pytest.mark.parametrize("drip", [False, True])
async def test_a_server_that_does_not_end_its_answer_is_given_up(
    server: Target, drip: bool
) -> None:
    """Also when a byte comes now and then."""

    async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.answer = dripping if drip else hang
    async with asyncio.timeout(5):
        with pytest.raises(Unanswered, match=r"did not answer in 0\.2 s"):
            await ask(server, patience=timedelta(seconds=0.2))


async def test_samples_that_are_no_numbers_are_left_out(server: Target) -> None:
    """NaN and infinity pass no limit, nor fail one."""
    server.answer = status(200, vector("NaN", "1.5", "+Inf", "-Inf", "one", "1e300"))
    assert [(one.replica, one.number) for one in await ask(server)] == [("1", 1.5)]


async def test_the_user_of_the_url_is_sent_to_the_server(server: Target) -> None:
    """As basic authentication; a path before the API's stays."""
    server.answer = status(200, vector())
    await ask(server, "relay:p%40ss@", "/prometheus")

    (delivery,) = server.deliveries
    assert delivery.line == "POST /prometheus/api/v1/query HTTP/1.1"
    assert delivery.header("Authorization") == "Basic cmVsYXk6cEBzcw=="
    assert delivery.body == b"query=up&time=1.500"


@pytest.mark.parametrize("time", [(), ("NaN",), ("0",), ("-1",), ("253402300800",)])
async def test_a_server_without_a_clock_is_reported(server: Target, time: tuple[str, ...]) -> None:
    """Neither an empty vector nor what has no date is a time."""
    server.answer = status(200, vector(*time))
    async with Prometheus(server.url.removesuffix("/hook")) as prometheus:
        with pytest.raises(Unanswered, match="does not tell its time"):
            await prometheus.now()
