"""Previews last an hour, answers a day; what has expired is reported and never done twice."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx2
import pytest

from stores.redis import names
from tests.support.gateways import Relay, gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@pytest.fixture
async def executed(relay: Relay, target: Target) -> AsyncIterator[httpx2.Response]:
    """The answer of key `order-1`."""
    yield await relay.execute(await relay.preview_id(target.url), "order-1")
    assert len(target.deliveries) == 1


def expire(valkey: Valkey, *names: str) -> None:
    with valkey.client() as client:
        for name in names:
            assert client.pexpire(name, 0) == 1


def expires_at(valkey: Valkey, name: str) -> datetime:
    with valkey.client() as client:
        return datetime.fromtimestamp(client.pexpiretime(name) / 1000).astimezone()


def lasts(moment: datetime, duration: timedelta) -> bool:
    """Whether that long is left, give or take what a test takes."""
    left = moment - datetime.now().astimezone()
    return duration - timedelta(seconds=30) < left <= duration + timedelta(seconds=1)


async def test_a_preview_lasts_an_hour(relay: Relay, valkey: Valkey, target: Target) -> None:
    """What `expires_at` says is what the store does, to the millisecond."""
    preview = (await relay.preview(target.url)).json()
    said = datetime.fromisoformat(preview["expires_at"])

    assert expires_at(valkey, names.preview("default", preview["preview_id"])) == said
    assert lasts(said, HOUR)
    assert preview["expires_at"].endswith("Z")
    shown = (await relay.get(f"/previews/{preview['preview_id']}")).json()
    assert shown["expires_at"] == preview["expires_at"]


async def test_an_answer_lasts_a_day_and_its_preview_is_spent_for_a_week(
    valkey: Valkey, executed: httpx2.Response
) -> None:
    """What `Idempotency-Expires` says is what the store does with the run and its key."""
    said = datetime.fromisoformat(executed.headers["Idempotency-Expires"])
    run = executed.json()

    assert lasts(said, DAY)
    assert expires_at(valkey, names.run("default", run["run_id"])) == said
    assert expires_at(valkey, names.reservation("default", "order-1")) == said
    assert lasts(expires_at(valkey, names.preview("default", run["preview_id"])), WEEK)


async def test_a_preview_that_is_gone_is_not_found(
    relay: Relay, valkey: Valkey, target: Target
) -> None:
    """Neither shown nor executed, with a key or without."""
    preview_id = await relay.preview_id(target.url)
    expire(valkey, names.preview("default", preview_id))

    shown = await relay.get(f"/previews/{preview_id}")
    refused = [await relay.execute(preview_id, key) for key in ("order-1", None)]

    for answer in (shown, *refused):
        assert (answer.status_code, answer.json()["code"]) == (404, "preview_not_found")
        assert "Invalid or expired preview_id" in answer.json()["detail"]
    assert not target.deliveries


async def test_a_retry_outlives_its_preview(
    relay: Relay, valkey: Valkey, executed: httpx2.Response
) -> None:
    """The key is looked at first: the old one replays, a new one finds nothing."""
    run = executed.json()
    expire(valkey, names.preview("default", run["preview_id"]))

    old = await relay.execute(run["preview_id"], "order-1")
    new = await relay.execute(run["preview_id"], "order-2")

    assert old.headers["Idempotent-Replayed"] == "true"
    assert old.json() == {**run, "request_id": old.json()["request_id"]}
    assert (new.status_code, new.json()["code"]) == (404, "preview_not_found")


@pytest.mark.parametrize("gone", ["the run", "the run and its key"])
@pytest.mark.parametrize("key", ["order-1", "order-2"])
async def test_an_expired_answer_is_reported(
    relay: Relay, valkey: Valkey, executed: httpx2.Response, gone: str, key: str
) -> None:
    """410 with the run, for the old key and a new one, while the preview is known as spent."""
    run = executed.json()
    expire(valkey, names.run("default", run["run_id"]))
    if gone == "the run and its key":
        expire(valkey, names.reservation("default", "order-1"))

    answer = await relay.execute(run["preview_id"], key)

    assert (answer.status_code, answer.json()["code"]) == (410, "run_expired")
    assert answer.json()["run_id"] == run["run_id"]
    shown = await relay.get(f"/runs/{run['run_id']}")
    assert (shown.status_code, shown.json()["code"]) == (404, "run_not_found")


async def test_a_key_whose_answer_is_gone_executes_nothing_else(
    relay: Relay, target: Target, valkey: Valkey, executed: httpx2.Response
) -> None:
    """While the key is held, it names the run that was, also for another preview."""
    expire(valkey, names.run("default", executed.json()["run_id"]))

    answer = await relay.execute(await relay.preview_id(target.url), "order-1")

    assert (answer.status_code, answer.json()["code"]) == (410, "run_expired")
    assert answer.json()["run_id"] == executed.json()["run_id"]


async def test_a_spent_preview_shows_its_run(
    relay: Relay, executed: httpx2.Response, valkey: Valkey
) -> None:
    """At any gateway on the store."""
    run = executed.json()
    async with gateway(valkey.url) as other:
        for asked in (relay, other):
            shown = await asked.get(f"/previews/{run['preview_id']}")
            assert (shown.status_code, shown.json()["code"]) == (409, "preview_already_executed")
            assert shown.json()["run_id"] == run["run_id"]
            assert shown.headers["Location"] == f"/runs/{run['run_id']}"
