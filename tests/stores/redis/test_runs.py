"""Who may run: at most one run a key and a preview. Every answer twice, on Valkey and fakeredis."""

import asyncio
from datetime import timedelta

import pytest

from stores.redis import names
from stores.redis.previews import Live, NoPreview, Previews, Spent
from stores.redis.reservations import Expired, KeyTaken, Lost, NoRun, Reserved, Settled
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from tests.support.answers import exactly
from tests.support.reservations import LEASE, ORIGIN, found, reservation
from tests.support.valkey import stranger


async def test_a_free_key_with_a_live_preview_is_reserved(runs: Runs) -> None:
    """The claim gets the preview's document; sent twice, the same answer twice."""
    first = await runs.reserve(reservation(), lease=LEASE)
    again = await runs.reserve(reservation(), lease=LEASE)

    assert isinstance(first, Reserved)
    assert first.preview == b"p-1"
    assert exactly(again) == exactly(first)


async def test_a_reservation_opens_a_run(runs: Runs) -> None:
    """The run says what it is of, since when, and how long its lease still is."""
    reserved = await runs.reserve(reservation(), lease=LEASE)
    run = await found(runs)

    assert isinstance(reserved, Reserved)
    assert (run.id, run.preview_id, run.origin, run.doc) == ("run-1", "p-1", ORIGIN, None)
    assert run.started_at_ms == reserved.started_at_ms
    assert timedelta(0) < run.lease_left <= LEASE
    assert run.in_flight
    assert (await found(runs))._replace(lease_left=run.lease_left) == run


async def test_a_claim_sent_twice_keeps_its_lease(runs: Runs) -> None:
    """A second `reserve` of the same run gives it no more time than the first."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.reserve(reservation(), lease=timedelta(hours=1))
    assert (await found(runs)).lease_left <= LEASE


async def test_a_key_in_flight_is_taken(runs: Runs) -> None:
    """Who comes second gets the run that is in flight, each time."""
    await runs.reserve(reservation(), lease=LEASE)
    for _ in range(2):
        answer = await runs.reserve(reservation("run-2"), lease=LEASE)
        assert isinstance(answer, KeyTaken)
        assert (answer.run.id, answer.other_preview, answer.in_flight) == ("run-1", False, True)
    assert exactly(await runs.inspect("w", "run-2")) == exactly(NoRun())


async def test_a_settled_key_answers_with_its_run(runs: Runs) -> None:
    """A retry gets the answer that was stored, each time."""
    await runs.reserve(reservation(), lease=LEASE)
    settled = await runs.settle(reservation(), state="success", doc=b"answer")
    for _ in range(2):
        answer = await runs.reserve(reservation("run-2"), lease=LEASE)
        assert isinstance(answer, KeyTaken)
        assert (answer.run.id, answer.run.doc, answer.in_flight) == ("run-1", b"answer", False)
        assert exactly(settled) == exactly(Settled(answer.run.expires_at_ms))


async def test_no_preview_no_run(runs: Runs, scripts: Scripts) -> None:
    """A preview that never was reserves nothing: neither the key nor a run is left behind."""
    before = await scripts._client.dbsize()
    for _ in range(2):
        assert exactly(await runs.reserve(reservation(preview_id="never"), lease=LEASE)) == exactly(
            NoPreview()
        )
    assert await scripts._client.dbsize() == before
    assert isinstance(await runs.reserve(reservation(), lease=LEASE), Reserved)


@pytest.mark.parametrize("settled", [False, True])
async def test_a_preview_runs_under_one_key_only(runs: Runs, settled: bool) -> None:
    """Another key learns which run has spent the preview, in flight or settled, and gets none."""
    await runs.reserve(reservation(), lease=LEASE)
    if settled:
        await runs.settle(reservation(), state="success", doc=b"answer")
    for _ in range(2):
        other = reservation("run-2", key="order-2")
        assert exactly(await runs.reserve(other, lease=LEASE)) == exactly(Spent("run-1"))
    free = reservation("run-3", key="order-2", preview_id="p-2")
    assert isinstance(await runs.reserve(free, lease=LEASE), Reserved)


@pytest.mark.parametrize(
    ("preview_id", "other_preview"),
    [("p-1", False), ("live", True), ("in flight", True), ("spent", True), ("expired", False)],
)
@pytest.mark.parametrize("settled", [False, True])
async def test_a_key_belongs_to_one_preview(
    runs: Runs, previews: Previews, preview_id: str, other_preview: bool, settled: bool
) -> None:
    """With another preview that is known a key is reused; with one that is gone it is a retry."""
    for name in ("live", "in flight", "spent", "expired"):
        ttl = timedelta(0) if name == "expired" else LEASE
        await previews.save("w", name, b"doc", origin=ORIGIN, ttl=ttl)
    for name in ("in flight", "spent"):
        await runs.reserve(reservation(name, key=name, preview_id=name), lease=LEASE)
    await runs.settle(
        reservation("spent", key="spent", preview_id="spent"), state="success", doc=b"it"
    )
    await runs.reserve(reservation(), lease=LEASE)
    if settled:
        await runs.settle(reservation(), state="success", doc=b"answer")

    answer = await runs.reserve(reservation("run-2", preview_id=preview_id), lease=LEASE)

    assert isinstance(answer, KeyTaken)
    assert (answer.run.id, answer.other_preview) == ("run-1", other_preview)
    assert answer.in_flight == (not settled and not other_preview)
    assert isinstance(await previews.find("w", "live"), Live)


@pytest.mark.parametrize("key", ["order-1", "order-2"])
async def test_a_forgotten_run_is_expired(runs: Runs, scripts: Scripts, key: str) -> None:
    """When the answer is gone, neither its key nor its preview runs again."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.settle(reservation(), state="success", doc=b"answer")
    await scripts._client.delete(names.run("w", "run-1"))
    for _ in range(2):
        assert exactly(await runs.reserve(reservation("run-2", key=key), lease=LEASE)) == exactly(
            Expired("run-1")
        )
    assert exactly(await runs.inspect("w", "run-2")) == exactly(NoRun())


async def test_a_run_that_never_was_is_not_found(runs: Runs) -> None:
    """There is nothing to look at, nor to settle, and trying makes nothing."""
    for _ in range(2):
        assert exactly(await runs.inspect("w", "run-1")) == exactly(NoRun())
        assert exactly(await runs.settle(reservation(), state="success", doc=b"answer")) == exactly(
            Lost()
        )
    assert exactly(await runs.inspect("w", "run-1")) == exactly(NoRun())


def strangers(scripts: Scripts) -> list[Runs]:
    """Fifty that share no pipeline, as processes do not."""
    return [Runs(stranger(scripts)) for _ in range(50)]


async def test_fifty_racing_for_one_key_open_one_run(scripts: Scripts, runs: Runs) -> None:
    """Exactly one gets `Reserved`; all others get the very run that it opened."""
    answers = await asyncio.gather(
        *(
            it.reserve(reservation(f"run-{n}"), lease=LEASE)
            for n, it in enumerate(strangers(scripts))
        )
    )
    [winner] = [n for n, it in enumerate(answers) if isinstance(it, Reserved)]
    others = [it for it in answers if isinstance(it, KeyTaken)]
    assert len(others) == 49
    assert {it.run.id for it in others} == {f"run-{winner}"}
    assert not any(it.other_preview for it in others)


async def test_fifty_keys_racing_for_one_preview_open_one_run(scripts: Scripts, runs: Runs) -> None:
    """Exactly one gets `Reserved`; all others learn which run has spent the preview."""
    answers = await asyncio.gather(
        *(
            it.reserve(reservation(f"run-{n}", key=f"order-{n}"), lease=LEASE)
            for n, it in enumerate(strangers(scripts))
        )
    )
    [winner] = [n for n, it in enumerate(answers) if isinstance(it, Reserved)]
    told = [exactly(it) for it in answers]
    assert told.count(exactly(Spent(f"run-{winner}"))) == 49
