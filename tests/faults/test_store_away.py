"""While Redis is stopped, or accepts connections without answering, nothing is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest

from gateway import problems
from tests.support.clocks import timed
from tests.support.gateways import Relay, gateway, until
from tests.support.target import Answer, Target, status
from tests.support.valkey import Valkey


@pytest.fixture
def server(own_valkey: Valkey) -> Valkey:
    return own_valkey


@pytest.fixture(params=["stop", "pause"])
def away(request: pytest.FixtureRequest, server: Valkey) -> Callable[[], None]:
    """Take the server away."""
    leave: Callable[[], None] = getattr(server, request.param)
    return leave


@pytest.fixture
def back(away: Callable[[], None], server: Valkey) -> Callable[[], None]:
    """Bring the server back."""
    return server.start if away == server.stop else server.resume


@pytest.fixture
async def relay(server: Valkey) -> AsyncIterator[Relay]:
    async with gateway(server.url) as client:
        yield client


async def unavailable(relay: Relay, preview_id: str, target: Target) -> None:
    """Every call that needs the store answers 503 in time, and that it may be retried."""
    answers = await asyncio.gather(
        timed(relay.execute(preview_id, "order-1")),
        timed(relay.execute(preview_id, "order-1")),
        timed(relay.execute(preview_id)),
        timed(relay.preview(target.url)),
        timed(relay.get(f"/previews/{preview_id}")),
        timed(relay.get("/runs/some-run")),
    )
    for answer, seconds in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["safe_to_retry"] is True
        # Another gateway, or this one before, may have sent something for this key.
        assert answer.json()["detail"].endswith(problems.REPEAT)
        assert "othing was sent" not in answer.text
        assert seconds < 2


async def test_without_redis_nothing_is_sent(
    relay: Relay,
    target: Target,
    away: Callable[[], None],
    back: Callable[[], None],
) -> None:
    """503 in under 2 s while Redis is away. Within 5 s of its return, one run and its replay."""
    preview_id = await relay.preview_id(target.url)
    away()
    await unavailable(relay, preview_id, target)
    assert not target.deliveries
    assert (await relay.get("/health")).status_code == 200

    back()
    returned = monotonic()

    async def works() -> bool:
        return (await relay.execute(preview_id, "order-1")).status_code == 200

    await until(works, patience=5)
    assert (await relay.preview(target.url)).status_code == 200
    assert monotonic() - returned < 5
    again = await relay.execute(preview_id, "order-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["status"] == "success"
    assert len(target.deliveries) == 1


def leaving(away: Callable[[], None]) -> Answer:
    """The target answers 200, and Redis goes away before that answer leaves."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        away()
        await status(200, b"done")(reader, writer)

    return answer


async def test_redis_gone_after_the_send_does_not_hide_the_outcome(
    relay: Relay,
    target: Target,
    away: Callable[[], None],
    back: Callable[[], None],
) -> None:
    """The caller gets the outcome with 200. Once Redis is back, the retry gets the same; it was
    sent once.
    """
    preview_id = await relay.preview_id(target.url)
    target.answer = leaving(away)

    first = await relay.execute(preview_id, "order-1")

    assert first.status_code == 200
    assert first.json()["status"] == "success"
    assert first.json()["result"]["response"] == "done"
    assert "Idempotency-Expires" not in first.headers
    refused = await relay.execute(preview_id, "order-1")
    assert refused.status_code == 503

    back()
    again = await relay.execute(preview_id, "order-1")
    assert again.status_code == 200, again.text
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotency-Expires" in again.headers
    ours, theirs = first.json(), again.json()
    assert ours.pop("request_id") != theirs.pop("request_id")
    assert ours == theirs
    assert len(target.deliveries) == 1


async def test_ready_names_the_store_while_it_is_away(
    relay: Relay,
    away: Callable[[], None],
    back: Callable[[], None],
) -> None:
    """/ready is 503 and names the failed check, and 200 within 5 s of the return of Redis."""

    async def status_is(code: int) -> bool:
        return (await relay.get("/ready")).status_code == code

    assert await status_is(200)
    away()
    await until(lambda: status_is(503), patience=5)
    answer, seconds = await timed(relay.get("/ready"))

    assert seconds < 2
    assert answer.json()["code"] == "not_ready"
    assert "store" in answer.json()["detail"]
    verdicts = {check["name"]: check["verdict"] for check in answer.json()["checks"]}
    assert verdicts.pop("audit") in ("ok", "warning")  # a warning from its next turn on
    assert verdicts == {"process": "ok", "store": "failed", "keys": "ok", "connections": "ok"}

    back()
    await until(lambda: status_is(200), patience=5)


async def test_a_gateway_starts_without_redis(server: Valkey, target: Target) -> None:
    """It is alive, but not ready, and works as soon as Redis is there."""
    server.stop()
    async with gateway(server.url) as relay:
        assert (await relay.get("/health")).status_code == 200
        assert (await relay.get("/ready")).status_code == 503
        assert (await relay.preview(target.url)).status_code == 503
        server.start()
        answer = await relay.execute(await relay.preview_id(target.url), "order-1")
        assert answer.json()["status"] == "success"
    assert len(target.deliveries) == 1
