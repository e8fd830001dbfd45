"""How a run ends: settled, given back, or its lease over; and how long what it leaves is kept."""

from datetime import timedelta

import pytest

from stores.redis import names
from stores.redis.limits import Rates
from stores.redis.previews import Live, Previews, Spent
from stores.redis.reservations import KeyTaken, Lost, NoRun, Reserved, Settled
from stores.redis.runs import RELEASED_TTL, RUN_TTL, TOMBSTONE_TTL, Runs
from stores.redis.scripts import RedisUnavailable, Scripts
from tests.support.answers import exactly
from tests.support.reservations import LEASE, found, reservation

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
NO_LEASE = timedelta(0)
# A loaded machine between a script and the look at what it left.
SLACK = timedelta(seconds=10)


async def told(scripts: Scripts, verb: str) -> list[bytes]:
    """The raw answer of a script that ends run-1 and that its caller need not read."""
    channel = names.changed("w", "run-1")
    return await scripts.call(
        verb, reservation().redis_keys(), "run-1", channel, RELEASED_TTL, "{}"
    )


async def left(scripts: Scripts, key: str) -> timedelta:
    return timedelta(milliseconds=await scripts._client.pttl(key))


async def test_settled_twice_is_settled_once(runs: Runs) -> None:
    """The first answer stays: a second settle says the same and changes nothing."""
    await runs.reserve(reservation(), lease=LEASE)
    first = await runs.settle(reservation(), state="success", doc=b"first")
    again = await runs.settle(reservation(), state="failed", doc=b"second")

    assert isinstance(first, Settled)
    assert exactly(again) == exactly(first)
    run = await found(runs)
    assert (run.doc, run.in_flight, run.interrupted) == (b"first", False, False)


async def test_a_late_settle_is_refused(runs: Runs) -> None:
    """Once the lease is over the run is interrupted for good, whatever its sender says later."""
    await runs.reserve(reservation(), lease=NO_LEASE)
    for _ in range(2):
        assert exactly(await runs.settle(reservation(), state="success", doc=b"late")) == exactly(
            Lost()
        )
    run = await found(runs)
    assert (run.doc, run.in_flight, run.interrupted) == (None, False, True)


async def test_an_interrupted_run_is_not_taken_over(runs: Runs) -> None:
    """After the lease neither the key nor the preview is reserved again."""
    await runs.reserve(reservation(), lease=NO_LEASE)
    for _ in range(2):
        answer = await runs.reserve(reservation("run-2"), lease=LEASE)
        assert isinstance(answer, KeyTaken)
        assert (answer.run.id, answer.run.interrupted, answer.in_flight) == ("run-1", True, False)
        other = reservation("run-3", key="order-2")
        assert exactly(await runs.reserve(other, lease=LEASE)) == exactly(Spent("run-1"))


async def test_a_late_release_is_refused(runs: Runs, previews: Previews) -> None:
    """From the end of its lease a run is unknown: a retry may have got that answer, and neither
    key nor preview is given back.
    """
    await runs.reserve(reservation(), lease=NO_LEASE)
    for _ in range(2):
        assert exactly(await runs.release(reservation())) == exactly(Lost())
    run = await found(runs)
    assert (run.in_flight, run.interrupted) == (False, True)
    assert exactly(await previews.find("w", "p-1")) == exactly(Spent("run-1"))
    answer = await runs.reserve(reservation("run-2"), lease=LEASE)
    assert isinstance(answer, KeyTaken)
    assert answer.run.id == "run-1"


async def test_a_released_run_never_was(runs: Runs, previews: Previews, scripts: Scripts) -> None:
    """Key and preview are free again; sent twice, the answer is the same."""
    await runs.reserve(reservation(), lease=LEASE)
    for _ in range(2):
        assert await told(scripts, "release") == [b"released"]

    assert exactly(await runs.inspect("w", "run-1")) == exactly(NoRun())
    assert isinstance(await previews.find("w", "p-1"), Live)
    other_preview = await runs.reserve(reservation("run-2", preview_id="p-2"), lease=LEASE)
    assert isinstance(other_preview, Reserved)
    other_key = await runs.reserve(reservation("run-3", key="order-2"), lease=LEASE)
    assert isinstance(other_key, Reserved)
    assert other_key.preview == b"p-1"


async def test_a_run_that_was_given_back_is_never_opened(runs: Runs, previews: Previews) -> None:
    """A reserve that arrives behind its own release leaves key and preview free."""
    await runs.release(reservation())
    with pytest.raises(RedisUnavailable):
        await runs.reserve(reservation(), lease=LEASE)

    assert exactly(await runs.inspect("w", "run-1")) == exactly(NoRun())
    assert exactly(await runs.settle(reservation(), state="success", doc=b"late")) == exactly(
        Lost()
    )
    assert isinstance(await previews.find("w", "p-1"), Live)
    assert isinstance(await runs.reserve(reservation("run-2"), lease=LEASE), Reserved)


async def test_a_run_without_an_origin_is_given_back_all_the_same(
    scripts: Scripts, runs: Runs
) -> None:
    """It was removed from Redis; the run ends in one step, or not at all."""
    await runs.reserve(reservation(), lease=LEASE)
    await scripts._client.hdel(names.run("w", "run-1"), "origin")
    assert await told(scripts, "release") == [b"released"]
    assert isinstance(await runs.inspect("w", "run-1"), NoRun)


async def test_a_settled_run_is_not_released(
    runs: Runs, previews: Previews, scripts: Scripts
) -> None:
    """A release that comes late, or twice, takes no answer away."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.settle(reservation(), state="success", doc=b"answer")
    for _ in range(2):
        assert await told(scripts, "release") == [b"lost"]
    assert (await found(runs)).doc == b"answer"
    assert exactly(await previews.find("w", "p-1")) == exactly(Spent("run-1"))
    assert isinstance(await runs.reserve(reservation("run-2"), lease=LEASE), KeyTaken)


async def test_a_released_run_cannot_end_its_successor(runs: Runs) -> None:
    """What was given back and reserved again belongs to the new run alone."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.release(reservation())
    await runs.reserve(reservation("run-2"), lease=LEASE)

    await runs.release(reservation())
    assert exactly(await runs.settle(reservation(), state="success", doc=b"stranger")) == exactly(
        Lost()
    )
    assert (await found(runs, "run-2")).in_flight


@pytest.mark.parametrize("ends", ["release", "settle"])
async def test_a_run_ends_only_its_own_reservation(
    runs: Runs, previews: Previews, scripts: Scripts, ends: str
) -> None:
    """A key that has passed to another run, after its day, is left alone."""
    held = names.reservation("w", "order-1")
    await runs.reserve(reservation(), lease=LEASE)
    await scripts._client.delete(held)
    brief = Runs(scripts, ttl=HOUR)
    await brief.reserve(reservation("run-2", preview_id="p-2"), lease=LEASE)

    if ends == "release":
        await runs.release(reservation())
    else:
        await runs.settle(reservation(), state="success", doc=b"answer")

    assert await scripts._client.get(held) == b"run-2"
    assert await left(scripts, held) <= HOUR


async def test_a_run_gives_only_its_own_preview_back(
    runs: Runs, previews: Previews, scripts: Scripts
) -> None:
    """A preview that another run has spent stays spent."""
    await runs.reserve(reservation(), lease=LEASE)
    await scripts._client.hset(names.preview("w", "p-1"), "run", "run-2")
    await runs.release(reservation())
    assert exactly(await previews.find("w", "p-1")) == exactly(Spent("run-2"))


async def test_a_reservation_and_its_run_live_a_day(runs: Runs, scripts: Scripts) -> None:
    """From the start on both expire together, after 24 hours, as the run says."""
    await runs.reserve(reservation(), lease=LEASE)

    assert RUN_TTL == DAY
    expires_at_ms = (await found(runs)).expires_at_ms
    for key in (names.run("w", "run-1"), names.reservation("w", "order-1")):
        assert DAY - SLACK < await left(scripts, key) <= DAY
        assert abs(await scripts._client.pexpiretime(key) - expires_at_ms) < 1000


async def test_the_day_is_counted_anew_when_a_run_settles(
    runs: Runs, previews: Previews, scripts: Scripts
) -> None:
    """A retry finds the answer for 24 hours from the answer on, by its key too."""
    await Runs(scripts, ttl=HOUR).reserve(reservation(), lease=LEASE)
    settled = await runs.settle(reservation(), state="success", doc=b"answer")

    assert isinstance(settled, Settled)
    for key in (names.run("w", "run-1"), names.reservation("w", "order-1")):
        assert DAY - SLACK < await left(scripts, key) <= DAY
        assert await scripts._client.pexpiretime(key) == settled.expires_at_ms
    assert (await found(runs)).expires_at_ms == settled.expires_at_ms


async def test_the_tombstone_outlives_the_answer(runs: Runs, scripts: Scripts) -> None:
    """A spent preview says which run it became for a week, six days longer than the run is kept."""
    await runs.reserve(reservation(), lease=LEASE)
    await runs.settle(reservation(), state="success", doc=b"answer")

    assert timedelta(days=7) == TOMBSTONE_TTL
    kept = await left(scripts, names.preview("w", "p-1"))
    assert TOMBSTONE_TTL - SLACK < kept <= TOMBSTONE_TTL


async def test_every_key_but_the_outbox_has_an_expiry(runs: Runs, scripts: Scripts) -> None:
    """Whatever has become of a run, nothing of it is kept for ever but what the audit has not got
    yet: that is kept until it is shipped.
    """
    await runs.reserve(reservation(), lease=LEASE)
    await runs.settle(reservation(), state="success", doc=b"answer")
    limited = reservation("run-2", key="order-2", preview_id="p-2")
    await runs.reserve(limited._replace(principal="k-1", rates=Rates(5, 5)), lease=LEASE)

    every = await scripts._client.keys("relay:{w}:*")
    assert len(every) == 10
    forever = [key for key in every if await scripts._client.pttl(key) <= 0]
    assert forever == [names.outbox("w").encode()]
