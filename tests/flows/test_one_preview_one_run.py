"""A preview is spent once, and a key names one preview; a second request gets a problem."""

import asyncio
from typing import Any

import pytest

from stores.redis import names
from tests.support.gateways import Relay
from tests.support.target import Target, hang
from tests.support.valkey import Valkey


def without_request_id(response: Any) -> dict[str, Any]:
    return {**response.json(), "request_id": None}


def forget_preview(valkey: Valkey, preview_id: str) -> None:
    """As its hour does."""
    with valkey.client() as client:
        assert client.delete(names.preview("default", preview_id)) == 1


@pytest.mark.parametrize("racers", [2, 50])
async def test_keys_that_race_for_a_preview_make_one_delivery(
    relay: Relay, target: Target, racers: int
) -> None:
    """One key wins; every other one gets the winner's run id."""
    preview_id = await relay.preview_id(target.url)

    answers = await asyncio.gather(
        *(relay.execute(preview_id, f"key-{number}") for number in range(racers))
    )

    [winner] = [answer for answer in answers if answer.status_code == 200]
    losers = [answer for answer in answers if answer is not winner]
    for loser in losers:
        assert (loser.status_code, loser.json()["code"]) == (409, "preview_already_executed")
        assert loser.json()["run_id"] == winner.json()["run_id"]
        assert loser.headers["Location"] == f"/runs/{winner.json()['run_id']}"
    assert len(losers) == racers - 1
    assert len(target.deliveries) == 1


async def test_the_loser_hears_of_a_run_in_flight(relay: Relay, target: Target) -> None:
    """The preview is spent from the moment it is reserved, not from the answer on."""
    target.answer = hang
    preview_id = await relay.preview_id(target.url)
    winner = asyncio.create_task(relay.execute(preview_id, "winner"))
    await target.arrived.wait()

    loser = await relay.execute(preview_id, "loser")
    shown = await relay.get(loser.headers["Location"])

    assert (loser.status_code, loser.json()["code"]) == (409, "preview_already_executed")
    assert (shown.json()["run_id"], shown.json()["status"]) == (loser.json()["run_id"], "running")
    winner.cancel()
    await asyncio.wait({winner})


async def test_the_losers_key_is_still_free(relay: Relay, target: Target) -> None:
    """A key that got no run can name another preview."""
    preview_id = await relay.preview_id(target.url)
    await relay.execute(preview_id, "winner")
    assert (await relay.execute(preview_id, "loser")).status_code == 409

    run = await relay.execute(await relay.preview_id(target.url), "loser")

    assert (run.status_code, run.json()["status"]) == (200, "success")
    assert "Idempotent-Replayed" not in run.headers
    assert len(target.deliveries) == 2


async def test_a_key_refuses_another_live_preview(relay: Relay, target: Target) -> None:
    """A real second action is not skipped in silence; run and preview stay as they are."""
    first = await relay.execute(await relay.preview_id(target.url), "order-1")
    other = await relay.preview_id(target.url)

    refused = await relay.execute(other, "order-1")

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert refused.json()["run_id"] == first.json()["run_id"]
    replay = await relay.execute("expired-or-invalid", "order-1")
    assert without_request_id(replay) == without_request_id(first)
    assert (await relay.get(f"/previews/{other}")).status_code == 200
    assert len(target.deliveries) == 1
    assert (await relay.execute(other, "order-2")).json()["status"] == "success"
    assert len(target.deliveries) == 2


async def test_a_key_refuses_another_spent_preview(relay: Relay, target: Target) -> None:
    """A preview that another key has executed is no retry of this key."""
    await relay.execute(await relay.preview_id(target.url), "order-1")
    other = await relay.preview_id(target.url)
    await relay.execute(other, "order-2")

    refused = await relay.execute(other, "order-1")

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert len(target.deliveries) == 2


async def test_a_key_in_flight_refuses_another_live_preview_at_once(
    relay: Relay, target: Target
) -> None:
    """There is nothing to wait for: the answer would be the same."""
    target.answer = hang
    first = asyncio.create_task(relay.execute(await relay.preview_id(target.url), "order-1"))
    await target.arrived.wait()

    async with asyncio.timeout(5):
        refused = await relay.execute(await relay.preview_id(target.url), "order-1", wait=30)

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    first.cancel()
    await asyncio.wait({first})


@pytest.mark.parametrize("preview", ["expired", "never was", "its own"])
async def test_a_key_replays_for_a_preview_that_is_no_other_action(
    relay: Relay, target: Target, valkey: Valkey, preview: str
) -> None:
    """A retry that lost its preview still gets its answer."""
    own, expired = await relay.preview_id(target.url), await relay.preview_id(target.url)
    first = await relay.execute(own, "order-1")
    forget_preview(valkey, expired)
    asked = {"expired": expired, "never was": "never-was", "its own": own}[preview]

    replay = await relay.execute(asked, "order-1")

    assert replay.headers["Idempotent-Replayed"] == "true"
    assert without_request_id(replay) == without_request_id(first)
    assert len(target.deliveries) == 1
