"""Runs in flight never exceed the slots of a workspace and of each of its targets."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from stores.redis import names
from stores.redis.limits import Limited, Slots
from stores.redis.previews import NewPreview, Previews
from stores.redis.reservations import KeyTaken, Reservation, Reserved, ReserveResult
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from tests.support.reservations import LEASE, ORIGIN
from tests.support.valkey import separate_scripts

NO_LEASE = timedelta(0)
HOUR = timedelta(hours=1)
ROW = names.in_flight("w")


@pytest.fixture
async def previews(scripts: Scripts) -> Previews:
    """25 live previews for each target, and 25 without one: `a.example:443-0` and so on."""
    previews = Previews(scripts)
    for target in ("a.example:443", "b.example:443", ""):
        for n in range(25):
            await previews.save("w", NewPreview(f"{target}-{n}", b"doc", ORIGIN, target=target))
    return previews


def of(target: str, n: int, slots: Slots) -> Reservation:
    name = f"{target}-{n}"
    return Reservation("w", name, name, f"run-{target[:1]}{n}", slots=slots)


def a(n: int, slots: Slots) -> Reservation:
    return of("a.example:443", n, slots)


def b(n: int, slots: Slots) -> Reservation:
    return of("b.example:443", n, slots)


def outcome(answer: ReserveResult) -> Any:
    return answer.bound if isinstance(answer, Limited) else type(answer)


async def raced(scripts: Scripts, reservations: list[Reservation]) -> Counter[Any]:
    """The results of concurrent reservations that share no pipeline."""
    answers = await asyncio.gather(
        *(Runs(separate_scripts(scripts)).reserve(it, lease=LEASE) for it in reservations)
    )
    return Counter(map(outcome, answers))


@pytest.mark.parametrize("slots", [1, 7, 49, 50])
async def test_fifty_racing_runs_take_every_slot_and_no_more(
    scripts: Scripts, previews: Previews, slots: int
) -> None:
    """Exactly as many are reserved as there are slots; the others get Limited."""
    limit = Slots(total=slots)
    reservations = [it for n in range(25) for it in (a(n, limit), b(n, limit))]
    counts = await raced(scripts, reservations)
    assert counts == Counter({Reserved: slots, "runs": 50 - slots})
    assert await scripts._client.zcard(ROW) == slots


async def test_fifty_racing_runs_of_two_targets_take_the_slots_of_each(
    scripts: Scripts, previews: Previews
) -> None:
    """A full target blocks no other: exactly three runs of each."""
    limit = Slots(per_target=3)
    counts = await raced(scripts, [it for n in range(25) for it in (a(n, limit), b(n, limit))])
    assert counts == Counter({Reserved: 6, "target": 44})
    for target in ("a.example:443", "b.example:443"):
        assert await scripts._client.zcard(f"{ROW}:{target}") == 3


async def test_a_full_workspace_is_named_before_a_full_target(runs: Runs) -> None:
    """If both are full. The caller may retry after a second."""
    await runs.reserve(a(0, Slots(1, 1)), lease=LEASE)
    refused = await runs.reserve(a(1, Slots(1, 1)), lease=LEASE)
    assert refused == Limited("runs", timedelta(seconds=1), None)
    refused = await runs.reserve(a(1, Slots(2, 1)), lease=LEASE)
    assert refused == Limited("target", timedelta(seconds=1), None)
    assert outcome(await runs.reserve(b(0, Slots(2, 1)), lease=LEASE)) is Reserved


@pytest.mark.parametrize("slots", [Slots(1, 0), Slots(0, 1)])
@pytest.mark.parametrize("ends", ["settle", "release"])
async def test_each_end_frees_its_slot(runs: Runs, slots: Slots, ends: str) -> None:
    """One slot each, even if the call is sent twice."""
    for n in range(4):
        assert outcome(await runs.reserve(a(n, slots), lease=LEASE)) is Reserved
        assert isinstance(await runs.reserve(a(9, slots), lease=LEASE), Limited)
        for _ in range(2):
            if ends == "settle":
                await runs.settle(a(n, slots), state="success", doc=b"{}")
            else:
                await runs.release(a(n, slots))


@pytest.mark.parametrize("slots", [Slots(1, 0), Slots(0, 1)])
async def test_a_slot_is_held_for_the_lease(runs: Runs, slots: Slots) -> None:
    """The run of a dead gateway frees its slot once its lease is over."""
    for n in range(3):
        assert outcome(await runs.reserve(a(n, slots), lease=NO_LEASE)) is Reserved
    assert outcome(await runs.reserve(a(3, slots), lease=LEASE)) is Reserved
    assert isinstance(await runs.reserve(a(4, slots), lease=LEASE), Limited)


@pytest.mark.parametrize("slots", [Slots(2, 0), Slots(0, 2)])
async def test_a_short_lease_does_not_shorten_a_longer_one(
    runs: Runs, scripts: Scripts, slots: Slots
) -> None:
    """Gateways may differ in their leases: the set lives as long as the longest."""
    await runs.reserve(a(0, slots), lease=HOUR)
    await runs.reserve(a(1, slots), lease=LEASE)
    assert isinstance(await runs.reserve(a(2, slots), lease=LEASE), Limited)
    assert await scripts._client.pttl(f"{ROW}:a.example:443") > LEASE / timedelta(milliseconds=1)
    await scripts._client.zadd(f"{ROW}:a.example:443", {"run-a1": 1})
    await scripts._client.zadd(ROW, {"run-a1": 1})
    assert outcome(await runs.reserve(a(2, slots), lease=NO_LEASE)) is Reserved
    assert outcome(await runs.reserve(a(3, slots), lease=LEASE)) is Reserved
    assert isinstance(await runs.reserve(a(4, slots), lease=LEASE), Limited)
    assert await scripts._client.zscore(f"{ROW}:a.example:443", "run-a1") is None


async def test_without_a_target_only_the_workspace_counts(runs: Runs) -> None:
    """A preview without a target takes no slot of a target."""
    for n in range(3):
        assert outcome(await runs.reserve(of("", n, Slots(5, 1)), lease=LEASE)) is Reserved
    assert outcome(await runs.reserve(a(0, Slots(5, 1)), lease=LEASE)) is Reserved
    assert outcome(await runs.reserve(of("", 3, Slots(5, 1)), lease=LEASE)) is Reserved
    assert outcome(await runs.reserve(of("", 4, Slots(5, 1)), lease=LEASE)) == "runs"


async def test_a_reserve_sent_twice_takes_one_slot(runs: Runs) -> None:
    """A run that was reserved is answered again, even if it took the only slot."""
    for n in range(2):
        for _ in range(2):
            assert outcome(await runs.reserve(a(n, Slots(2, 2)), lease=LEASE)) is Reserved
    assert outcome(await runs.reserve(a(2, Slots(2, 2)), lease=LEASE)) == "runs"


async def test_a_retry_needs_no_slot(runs: Runs) -> None:
    """A retry gets its run, even if every slot is taken."""
    await runs.reserve(a(0, Slots(1, 1)), lease=LEASE)
    again = a(0, Slots(1, 1))._replace(run_id="another")
    assert outcome(await runs.reserve(again, lease=LEASE)) is KeyTaken


async def test_every_workspace_has_its_own_slots(runs: Runs, previews: Previews) -> None:
    """The same target in two workspaces counts twice."""
    await previews.save("v", NewPreview("p", b"doc", ORIGIN, target="a.example:443"))
    await runs.reserve(a(0, Slots(1, 1)), lease=LEASE)
    other = Reservation("v", "order", "p", "run", slots=Slots(1, 1))
    assert outcome(await runs.reserve(other, lease=LEASE)) is Reserved


async def test_slots_are_counted_even_without_limits(
    runs: Runs, scripts: Scripts, previews: Previews
) -> None:
    """A limit that is set while runs are in flight counts them."""
    counts = await raced(scripts, [a(n, Slots()) for n in range(25)])
    assert counts == Counter({Reserved: 25})
    assert outcome(await runs.reserve(b(0, Slots(25, 0)), lease=LEASE)) == "runs"
    assert outcome(await runs.reserve(b(0, Slots(26, 1)), lease=LEASE)) is Reserved
