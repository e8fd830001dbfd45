"""If Redis loses a reply after the work was done, there is one delivery and the right answer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from stores.redis.client import open_store
from stores.redis.scripts import RedisUnavailable
from tests.support.gateways import Relay, gateway, until
from tests.support.proxy import Proxy, Then, proxy
from tests.support.target import Target
from tests.support.valkey import Valkey

pytestmark = pytest.mark.parametrize("then", ["close", "hang"])


@pytest.fixture
async def between(valkey: Valkey) -> AsyncIterator[Proxy]:
    async with proxy(valkey.socket) as opened:
        yield opened


@pytest.fixture
async def relay(between: Proxy) -> AsyncIterator[Relay]:
    """A gateway whose Redis is behind the proxy."""
    async with gateway(between.url) as client:
        yield client


def run_of(answer: Any) -> dict[str, Any]:
    """The run without the fields of the request."""
    assert answer.status_code == 200, answer.text
    run: dict[str, Any] = answer.json()
    del run["request_id"]
    return run


async def executed(relay: Relay, target: Target) -> None:
    """Execute and retry: one successful run, the same both times."""
    preview_id = await relay.preview_id(target.url)
    first = await relay.execute(preview_id, "order-1")
    again = await relay.execute(preview_id, "order-1")

    assert run_of(first)["status"] == "success"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert run_of(again) == run_of(first)
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("script", ["save", "reserve", "settle"])
async def test_one_lost_reply_changes_no_answer(
    relay: Relay, target: Target, between: Proxy, script: str, then: Then
) -> None:
    """Preview, reservation and settlement are sent again, and happen once."""
    between.lose(script, then=then)
    await executed(relay, target)
    assert between.lost == 1


async def test_a_replay_may_lose_its_reply(
    relay: Relay, target: Target, between: Proxy, then: Then
) -> None:
    """It is replayed all the same."""
    between.lose("reserve", nth=2, then=then)
    await executed(relay, target)
    assert between.lost == 1


async def test_an_unconfirmed_reservation_is_released(
    relay: Relay, target: Target, between: Proxy, then: Then
) -> None:
    """Every reply to `reserve` is lost: 503 and nothing is sent. The retry sends once."""
    preview_id = await relay.preview_id(target.url)
    between.lose("reserve", replies=2, then=then)
    refused = await relay.execute(preview_id, "order-1")

    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert refused.json()["safe_to_retry"] is True
    assert refused.headers["Retry-After"] == "1"
    assert between.lost == 2
    assert not target.deliveries

    first = await relay.execute(preview_id, "order-1")
    assert run_of(first)["status"] == "success"
    assert run_of(await relay.execute(preview_id, "order-1")) == run_of(first)
    assert len(target.deliveries) == 1


async def test_an_unconfirmed_answer_is_returned_and_kept(
    relay: Relay, target: Target, between: Proxy, then: Then
) -> None:
    """Every reply to `settle` is lost: the caller gets the run, and so does the retry."""
    preview_id = await relay.preview_id(target.url)
    between.lose("settle", replies=2, then=then)
    first = await relay.execute(preview_id, "order-1")
    again = await relay.execute(preview_id, "order-1")

    assert between.lost == 2
    assert run_of(first)["status"] == "success"
    assert run_of(again) == run_of(first)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("replies", [1, 2])
async def test_an_unconfirmed_release_frees_the_run(
    relay: Relay, target: Target, between: Proxy, then: Then, replies: int
) -> None:
    """The reply to `release` is lost: 502 all the same, and the retry sends once the
    target is up.
    """
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        preview_id = await relay.preview_id(f"http://127.0.0.1:{refusing.getsockname()[1]}/hook")
        between.lose("release", replies=replies, then=then)
        refused = await relay.execute(preview_id, "order-1")
        assert (refused.status_code, refused.json()["code"]) == (502, "target_unreachable")

        async def all_are_lost() -> bool:
            return between.lost == replies

        await until(all_are_lost)
        async with await asyncio.start_server(target.serve, sock=refusing):
            first = await relay.execute(preview_id, "order-1")
            assert run_of(first)["status"] == "success"
            assert run_of(await relay.execute(preview_id, "order-1")) == run_of(first)
    assert len(target.deliveries) == 1


async def test_an_unconfirmed_subscription_is_given_up_in_time(
    between: Proxy, tmp_path: Path, then: Then
) -> None:
    """Waiting starts with a confirmation, or raises RedisUnavailable in under 2 s."""
    async with open_store(between.url, tmp_path) as store:
        between.lose("PSUBSCRIBE", replies=2, then=then)
        began = monotonic()
        with pytest.raises(RedisUnavailable):
            async with store.run_endings.wait_for("w", "run-1"):
                pass
        assert monotonic() - began < 2
        assert between.lost
        between.lose("PSUBSCRIBE", replies=0, then=then)
        async with store.run_endings.wait_for("w", "run-1") as ended:
            assert not ended.is_set()
