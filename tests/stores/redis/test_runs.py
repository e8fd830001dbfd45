"""At most one run opens for a key and for a preview. Every call is sent twice."""

import asyncio
from datetime import timedelta

import pytest

from stores.redis import names
from stores.redis.previews import Live, NewPreview, NoPreview, Previews, Spent
from stores.redis.reservations import Expired, KeyTaken, Lost, NoRun, Reserved, Settled
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from tests.support.answers import exactly
from tests.support.reservations import LEASE, ORIGIN, found, reservation
from tests.support.valkey import separate_scripts


async def test_a_free_key_with_a_live_preview_is_reserved(runs: Runs) -> None:
    """The answer has the preview's document, both times."""
    first = await runs.reserve(reservation(), lease=LEASE)
    again = await runs.reserve(reservation(), lease=LEASE)

    assert isinstance(first, Reserved)
    assert first.preview == b"p-1"
    assert exactly(again) == exactly(first)


async def test_a_reservation_opens_a_run(runs: Runs) -> None:
    """The run has its preview, its start and what is left of its lease."""
    reserved = await runs.reserve(reservation(), lease=LEASE)
    run = await found(runs)

    assert isinstance(reserved, Reserved)
    assert (run.id, run.preview_id, run.origin, run.doc) == ("run-1", "p-1", ORIGIN, None)
    assert run.started_at_ms == reserved.started_at_ms
    assert timedelta(0) < run.lease_left <= LEASE
    assert run.in_flight
    assert (await found(runs))._replace(lease_left=run.lease_left) == run


async def test_a_reserve_sent_twice_keeps_its_lease(runs: Runs) -> None:
    """The second `reserve` of a run does not extend its lease."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.reserve(reservation(), lease=timedelta(hours=1))
    assert (await found(runs)).lease_left <= LEASE


async def test_a_key_in_flight_is_taken(runs: Runs) -> None:
    """A second caller gets the run in flight, each time."""
    await runs.reserve(reservation(), lease=LEASE)
    for _ in range(2):
        answer = await runs.reserve(reservation("run-2"), lease=LEASE)
        assert isinstance(answer, KeyTaken)
        assert (answer.run.id, answer.other_preview, answer.in_flight) == ("run-1", False, True)
    assert exactly(await runs.inspect("w", "run-2")) == exactly(NoRun())


async def test_a_settled_key_answers_with_its_run(runs: Runs) -> None:
    """A retry gets the stored answer, each time."""
    await runs.reserve(reservation(), lease=LEASE)
    settled = await runs.settle(reservation(), state="success", doc=b"answer")
    for _ in range(2):
        answer = await runs.reserve(reservation("run-2"), lease=LEASE)
        assert isinstance(answer, KeyTaken)
        assert (answer.run.id, answer.run.doc, answer.in_flight) == ("run-1", b"answer", False)
        assert exactly(settled) == exactly(Settled(answer.run.expires_at_ms))


async def test_a_settled_run_keeps_what_a_replay_needs(runs: Runs, scripts: Scripts) -> None:
    """What its answer holds too is removed: a day of runs is what fills the memory."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.settle(reservation(), state="success", doc=b"answer")
    kept = await scripts._client.hkeys(names.run("w", "run-1"))
    assert sorted(kept) == sorted(
        b"state preview doc started_at lease_until expires_at traceparent".split()
    )


async def test_an_unknown_preview_opens_no_run(runs: Runs, scripts: Scripts) -> None:
    """Neither the key nor a run is reserved."""
    before = await scripts._client.dbsize()
    for _ in range(2):
        assert exactly(await runs.reserve(reservation(preview_id="never"), lease=LEASE)) == exactly(
            NoPreview()
        )
    assert await scripts._client.dbsize() == before
    assert isinstance(await runs.reserve(reservation(), lease=LEASE), Reserved)


@pytest.mark.parametrize("settled", [False, True])
async def test_a_preview_runs_under_one_key_only(runs: Runs, settled: bool) -> None:
    """Another key gets the id of the run that has spent the preview, in flight or settled."""
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
    runs: Runs, scripts: Scripts, preview_id: str, other_preview: bool, settled: bool
) -> None:
    """With another known preview the key is taken; with an expired one the request is a retry."""
    for name in ("live", "in flight", "spent", "expired"):
        ttl = timedelta(0) if name == "expired" else LEASE
        await Previews(scripts, ttl=ttl).save("w", NewPreview(name, b"doc", ORIGIN))
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
    assert isinstance(await Previews(scripts).find("w", "live"), Live)


@pytest.mark.parametrize("key", ["order-1", "order-2"])
async def test_a_run_without_its_answer_is_expired(runs: Runs, scripts: Scripts, key: str) -> None:
    """Once the answer has expired, neither its key nor its preview runs again."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.settle(reservation(), state="success", doc=b"answer")
    await scripts._client.delete(names.run("w", "run-1"))
    for _ in range(2):
        assert exactly(await runs.reserve(reservation("run-2", key=key), lease=LEASE)) == exactly(
            Expired("run-1")
        )
    assert exactly(await runs.inspect("w", "run-2")) == exactly(NoRun())


async def test_an_unknown_run_is_not_found(runs: Runs) -> None:
    """It can neither be read nor settled, and trying creates nothing."""
    for _ in range(2):
        assert exactly(await runs.inspect("w", "run-1")) == exactly(NoRun())
        assert exactly(await runs.settle(reservation(), state="success", doc=b"answer")) == exactly(
            Lost()
        )
    assert exactly(await runs.inspect("w", "run-1")) == exactly(NoRun())


def separate_processes(scripts: Scripts) -> list[Runs]:
    """Fifty stores that share no pipeline, like separate processes."""
    return [Runs(separate_scripts(scripts)) for _ in range(50)]


async def test_fifty_racing_for_one_key_open_one_run(scripts: Scripts, runs: Runs) -> None:
    """Exactly one gets Reserved. All others get the run that it opened."""
    answers = await asyncio.gather(
        *(
            it.reserve(reservation(f"run-{n}"), lease=LEASE)
            for n, it in enumerate(separate_processes(scripts))
        )
    )
    [winner] = [n for n, it in enumerate(answers) if isinstance(it, Reserved)]
    others = [it for it in answers if isinstance(it, KeyTaken)]
    assert len(others) == 49
    assert {it.run.id for it in others} == {f"run-{winner}"}
    assert not any(it.other_preview for it in others)


async def test_fifty_keys_racing_for_one_preview_open_one_run(scripts: Scripts, runs: Runs) -> None:
    """Exactly one gets Reserved. All others get the id of the run that has spent the preview."""
    answers = await asyncio.gather(
        *(
            it.reserve(reservation(f"run-{n}", key=f"order-{n}"), lease=LEASE)
            for n, it in enumerate(separate_processes(scripts))
        )
    )
    [winner] = [n for n, it in enumerate(answers) if isinstance(it, Reserved)]
    kinds = [exactly(it) for it in answers]
    assert kinds.count(exactly(Spent(f"run-{winner}"))) == 49
