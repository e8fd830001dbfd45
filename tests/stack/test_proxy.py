"""HAProxy with deploy/haproxy.cfg."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx2
import msgspec
import pytest

from gateway.http.responses import PROBLEM_JSON, ProblemBody
from tests.support.gateways import Relay, client, until
from tests.support.stack.files import DEPLOY, run
from tests.support.stack.replicas import PORT, Network, Proxy, network, proxy
from tests.support.stack.upstream import Behaviour, Upstream, hangs_up, says, upstream

OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
BUSY = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
# How a replica behaves, what the caller then hears, and after how many attempts.
SENT: list[tuple[Behaviour, int, int]] = [
    (hangs_up, 502, 4),
    (says("nonsense\r\n\r\n"), 502, 1),
    (says(BUSY), 503, 1),
    (says(OK), 200, 1),
]


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network() as opened:
        yield opened


@pytest.fixture(scope="module")
def haproxy(net: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(net, tmp_path_factory.mktemp("haproxy")) as opened:
        yield opened


@pytest.fixture
async def relay(haproxy: Proxy) -> AsyncIterator[Relay]:
    async with client(haproxy.url) as opened:
        yield opened


@asynccontextmanager
async def found(net: Network, relay: Relay) -> AsyncIterator[Upstream]:
    """One replica with its own address, which HAProxy has found and uses."""
    address = next(net.unused)
    async with upstream(address, PORT, says(OK)) as opened:
        net.names["gateway"] = [address]

        async def served() -> bool:
            return (await relay.get("/")).status_code == 200

        try:
            await until(served)
            opened.requests.clear()
            yield opened
        finally:
            net.names["gateway"] = []


def test_the_configuration_is_valid() -> None:
    """`haproxy -c` reports no warning."""
    said = run("haproxy", "-c", "-f", DEPLOY / "haproxy.cfg").strip()
    assert said in {"", "Configuration file is valid"}  # newer ones say nothing


async def test_without_a_replica_the_response_is_a_problem(relay: Relay) -> None:
    """A 503 with the caller's request id in header and body, and Retry-After."""
    answer = await relay.post("/actions/execute", headers={"X-Request-ID": "mine-1"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, PROBLEM_JSON)
    assert answer.headers["Retry-After"] == "1"
    problem = msgspec.json.decode(answer.content, type=ProblemBody)
    assert (problem.code, problem.type, problem.status) == (
        "no_replica",
        "/problems/no_replica",
        503,
    )
    assert problem.request_id == answer.headers["X-Request-ID"] == "mine-1"


@pytest.mark.parametrize("given", ["", "a b", 'a"b', "a" * 65, "ä"])
async def test_a_malformed_request_id_is_replaced(relay: Relay, given: str) -> None:
    """By the rule of the gateway, so that both use one id."""
    answer = await relay.get("/", headers=[(b"X-Request-ID", given.encode())])
    made = answer.headers["X-Request-ID"]
    assert made == answer.json()["request_id"] != given
    assert len(made) == 36


async def test_two_request_ids_are_replaced(relay: Relay) -> None:
    """Neither can be preferred."""
    answer = await relay.get("/", headers=[("X-Request-ID", "one"), ("X-Request-ID", "two")])
    assert len(answer.headers["X-Request-ID"]) == 36


async def test_the_replica_gets_the_request_id_and_the_trace(net: Network, relay: Relay) -> None:
    """HAProxy makes an id if the caller sends none."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with found(net, relay) as replica:
        await relay.get("/x", headers={"X-Request-ID": "mine-2", "traceparent": trace})
        await relay.get("/y")
    given, made = (request.lower() for request in replica.requests)
    assert "x-request-id: mine-2\r\n" in given
    assert f"traceparent: {trace}\r\n" in given
    assert made.count("x-request-id: ") == 1


async def test_the_replica_gets_the_key_and_the_address_of_the_caller(
    net: Network, relay: Relay
) -> None:
    """Authorization is unchanged; X-Forwarded-For holds only the address that HAProxy saw."""
    made_up = [("X-Forwarded-For", "203.0.113.9"), ("x-forwarded-for", "127.0.0.1, 10.0.0.1")]
    async with found(net, relay) as replica:
        await relay.get("/x", headers=[("Authorization", "Bearer rly_test_a"), *made_up])
    (request,) = (request.lower() for request in replica.requests)
    assert "authorization: bearer rly_test_a\r\n" in request
    assert request.count("x-forwarded-for: 127.0.0.1\r\n") == 1
    assert request.count("forwarded") == 1


async def test_every_request_has_a_line(haproxy: Proxy, relay: Relay) -> None:
    """JSON with its id and status, also if its path is hostile, without the query."""
    await relay.get('/"}\\?secret=1', headers={"X-Request-ID": "line-1"})

    async def logged() -> bool:
        return haproxy.line("line-1") is not None

    await until(logged)
    line = haproxy.line("line-1")
    assert line
    assert (line["path"], line["status"], line["method"]) == ("/%22%7D\\", 503, "GET")
    assert "secret" not in str(line)


async def asked_once(relay: Relay) -> httpx2.Response:
    """On a new connection: HAProxy closes a kept one instead of answering 502."""
    async with client(str(relay.base_url)) as fresh:
        return await fresh.post("/actions/execute", json={"preview_id": "p"})


async def test_only_a_missing_response_is_retried(net: Network, relay: Relay) -> None:
    """POST too, because Relay sends once a key. A 503 or a malformed response is not retried."""
    async with found(net, relay) as replica:
        for behave, status, attempts in SENT:
            replica.behave = behave
            replica.requests.clear()
            answer = await asked_once(relay)
            assert (answer.status_code, len(replica.requests)) == (status, attempts)
            if status == 502:
                assert answer.json()["code"] == "replica_lost"
                assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("method", "path", "attempts"),
    [
        ("GET", "/keys", 4),
        ("POST", "/actions/preview", 4),
        ("POST", "/mcp", 4),
        ("POST", "/mcpx", 1),
        ("POST", "/keys", 1),
        ("POST", "/keys/1/rotate", 1),
        ("PATCH", "/keys/1", 1),
        ("DELETE", "/keys/1", 1),
        ("POST", "/actionsx", 1),
    ],
)
async def test_only_repeatable_requests_are_repeated(
    net: Network, relay: Relay, method: str, path: str, attempts: int
) -> None:
    """A key is not made twice because the replica died after it had made the first."""
    async with found(net, relay) as replica, client(str(relay.base_url)) as fresh:
        replica.behave = hangs_up
        answer = await fresh.request(method, path, json={})
        assert (answer.status_code, len(replica.requests)) == (502, attempts)


async def test_haproxy_can_be_scraped(haproxy: Proxy, relay: Relay) -> None:
    """It has its own port for Prometheus, with the metric of the alert."""
    async with client(haproxy.stats) as stats:
        metrics = (await stats.get("/metrics")).text
        assert (await stats.get("/")).status_code == 404
    assert 'haproxy_backend_active_servers{proxy="gateway"} ' in metrics
