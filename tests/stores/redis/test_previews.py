"""Previews are kept for an hour, found while they live, and spent by a run."""

from datetime import timedelta

import pytest

from stores.redis import names
from stores.redis.approvals import Approvals, Executed
from stores.redis.limits import Limited, Quota, Rates
from stores.redis.previews import PREVIEW_TTL, Live, NewPreview, NoPreview, Previews, Saved, Spent
from stores.redis.reservations import Reservation, Reserved
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from tests.support.answers import exactly
from tests.support.approvals import decide, found, hold, withdraw
from tests.support.gateways import until

HOUR_MS = 3_600_000
# Tolerates a busy machine between a script and the check of its effect.
SLACK_MS = 10_000
LEASE = timedelta(seconds=20)
ORIGIN = b'{"action":"webhook.save","provider":"independent"}'


@pytest.fixture
def previews(scripts: Scripts) -> Previews:
    return Previews(scripts)


@pytest.fixture
def runs(scripts: Scripts) -> Runs:
    return Runs(scripts)


async def pttl(scripts: Scripts, preview_id: str) -> int:
    return int(await scripts._client.pttl(names.preview("w", preview_id)))


async def saved(previews: Previews, workspace: str, name: str, doc: bytes, *, origin: bytes) -> int:
    """When the preview expires."""
    answer = await previews.save(workspace, NewPreview(name, doc, origin))
    assert isinstance(answer, Saved)
    assert answer.quota is None
    return answer.expires_at_ms


async def test_saving_spends_a_request_of_a_quota(previews: Previews) -> None:
    """Of the key and of its workspace; a preview beyond it is not kept."""
    for rates, left in ((Rates(2, 0), 1), (Rates(2, 9), 0)):
        answer = await previews.save("w", NewPreview(f"p-{left}", b"doc", ORIGIN), "k-1", rates)
        assert isinstance(answer, Saved)
        assert answer.quota
        assert answer.quota[:2] == ("key", left)
    refused = await previews.save("w", NewPreview("p-9", b"doc", ORIGIN), "k-1", Rates(2, 9))
    assert isinstance(refused, Limited)
    assert refused.bound == "key"
    assert timedelta(seconds=29) < refused.retry_in <= timedelta(seconds=30)
    assert isinstance(refused.quota, Quota)
    assert await previews.find("w", "p-9") == NoPreview()


async def test_a_preview_is_found_byte_for_byte(previews: Previews) -> None:
    """With its expiry, however often it is read."""
    doc = bytes(range(256))
    expires_at_ms = await saved(previews, "w", "p-1", doc, origin=ORIGIN)

    assert exactly(await previews.find("w", "p-1")) == exactly(Live(doc, expires_at_ms))
    assert exactly(await previews.find("w", "p-1")) == exactly(Live(doc, expires_at_ms))


async def test_a_preview_lives_an_hour(previews: Previews, scripts: Scripts) -> None:
    """Redis drops a preview exactly at the `expires_at` of its answer: 1 h, not 24."""
    expires_at_ms = await saved(previews, "w", "p-1", b"{}", origin=ORIGIN)

    assert timedelta(hours=1) == PREVIEW_TTL
    seconds, microseconds = await scripts._client.time()
    left = expires_at_ms - (seconds * 1000 + microseconds // 1000)
    assert HOUR_MS - SLACK_MS < left <= HOUR_MS
    assert await scripts._client.pexpiretime(names.preview("w", "p-1")) == expires_at_ms


async def test_a_save_sent_twice_is_one_preview(previews: Previews, scripts: Scripts) -> None:
    """A save whose reply was lost is sent again; the later expiry counts."""
    first = await saved(previews, "w", "p-1", b"doc", origin=ORIGIN)
    second = await saved(previews, "w", "p-1", b"doc", origin=ORIGIN)

    assert second >= first
    assert exactly(await previews.find("w", "p-1")) == exactly(Live(b"doc", second))
    assert await scripts._client.pexpiretime(names.preview("w", "p-1")) == second


async def test_an_unknown_preview_is_not_found(previews: Previews) -> None:
    """And reading creates none."""
    assert exactly(await previews.find("w", "never-was")) == exactly(NoPreview())
    assert exactly(await previews.find("w", "never-was")) == exactly(NoPreview())


@pytest.mark.parametrize(
    ("ttl", "found"), [(timedelta(0), NoPreview), (timedelta(minutes=1), Live)]
)
async def test_an_expired_preview_is_not_found(
    scripts: Scripts, previews: Previews, ttl: timedelta, found: type
) -> None:
    """One with time left is found."""
    await saved(Previews(scripts, ttl=ttl), "w", "p-1", b"doc", origin=ORIGIN)
    assert type(await previews.find("w", "p-1")) is found


async def test_a_preview_in_flight_is_spent(previews: Previews, runs: Runs) -> None:
    """From its reservation on, a preview answers with its run."""
    await saved(previews, "w", "p-1", b"doc", origin=ORIGIN)
    await runs.reserve(Reservation("w", "order-1", "p-1", "run-1"), lease=LEASE)

    assert exactly(await previews.find("w", "p-1")) == exactly(Spent("run-1"))
    assert exactly(await previews.find("w", "p-1")) == exactly(Spent("run-1"))


async def test_a_spent_preview_stays_as_a_tombstone(
    previews: Previews, runs: Runs, scripts: Scripts
) -> None:
    """After settling, a preview keeps only the run's id, for seven days."""
    reservation = Reservation("w", "order-1", "p-1", "run-1")
    await saved(previews, "w", "p-1", b"doc", origin=ORIGIN)
    await runs.reserve(reservation, lease=LEASE)
    await runs.settle(reservation, state="success", doc=b"answer")

    assert exactly(await previews.find("w", "p-1")) == exactly(Spent("run-1"))
    assert await scripts._client.hgetall(names.preview("w", "p-1")) == {b"run": b"run-1"}
    week = 7 * 24 * HOUR_MS
    assert week - SLACK_MS < await pttl(scripts, "p-1") <= week


async def test_a_released_preview_is_live_again(previews: Previews, runs: Runs) -> None:
    """A run that was given back leaves its preview unchanged, expiry included."""
    reservation = Reservation("w", "order-1", "p-1", "run-1")
    expires_at_ms = await saved(previews, "w", "p-1", b"doc", origin=ORIGIN)
    await runs.reserve(reservation, lease=LEASE)
    await runs.release(reservation)
    assert exactly(await previews.find("w", "p-1")) == exactly(Live(b"doc", expires_at_ms))


async def test_workspaces_do_not_see_each_others_previews(previews: Previews, runs: Runs) -> None:
    """One id in three workspaces is three previews; spending one spends no other."""
    for name in ("w", "w:preview", "{w}"):
        await previews.save(name, NewPreview("p-1", name.encode(), ORIGIN))
    await runs.reserve(Reservation("w", "order-1", "p-1", "run-1"), lease=LEASE)

    for name in ("w:preview", "{w}"):
        found = await previews.find(name, "p-1")
        assert isinstance(found, Live)
        assert found.doc == name.encode()


async def test_a_spent_preview_outlives_its_run(scripts: Scripts) -> None:
    """By the time in which it might have been executed, if nothing settles the run."""
    ttl, kept = timedelta(minutes=5), timedelta(hours=2)
    expires_at = await saved(Previews(scripts, ttl=ttl), "w", "p-1", b"doc", origin=ORIGIN)
    await Runs(scripts, ttl=kept).reserve(Reservation("w", "order-1", "p-1", "run-1"), lease=LEASE)

    expiry = await scripts._client.pexpiretime(names.preview("w", "p-1"))
    assert expiry == expires_at + kept / timedelta(milliseconds=1)


async def test_what_a_dead_gateway_spent_stays_spent(scripts: Scripts) -> None:
    """After the lease and the deadline, with and without an approval: it names its run."""
    short = timedelta(milliseconds=500)
    approvals, previews, runs = Approvals(scripts), Previews(scripts, ttl=short), Runs(scripts)
    await hold(approvals, use_within=short)
    await decide(approvals, "ann")
    await saved(previews, "w", "p-2", b"doc", origin=ORIGIN)
    for each in ("1", "2"):
        reservation = Reservation("w", f"order-{each}", f"p-{each}", f"run-{each}")
        assert isinstance(await runs.reserve(reservation, lease=timedelta()), Reserved)

    async def past_its_use() -> bool:
        return (await found(approvals)).state == "unused"

    await until(past_its_use)
    assert (await found(approvals)).run_id == "run-1"
    assert await withdraw(approvals) == Executed("run-1")
    for each in ("1", "2"):
        answer = await runs.reserve(Reservation("w", "new", f"p-{each}", "run-3"), lease=LEASE)
        assert exactly(answer) == exactly(Spent(f"run-{each}"))


@pytest.mark.parametrize("ttl", [timedelta(minutes=2), PREVIEW_TTL])
async def test_release_restores_the_expiry(scripts: Scripts, ttl: timedelta) -> None:
    """The lease had extended it."""
    runs = Runs(scripts)
    reservation = Reservation("w", "order-1", "p-1", "run-1")
    expires_at_ms = await saved(Previews(scripts, ttl=ttl), "w", "p-1", b"doc", origin=ORIGIN)
    await runs.reserve(reservation, lease=timedelta(minutes=10))
    await runs.release(reservation)
    assert await scripts._client.pexpiretime(names.preview("w", "p-1")) == expires_at_ms


async def test_release_brings_no_expired_preview_back(scripts: Scripts) -> None:
    """A preview whose hour ended during its run is gone after a release."""
    previews, runs = Previews(scripts), Runs(scripts)
    reservation = Reservation("w", "order-1", "p-1", "run-1")
    await saved(previews, "w", "p-1", b"doc", origin=ORIGIN)
    await runs.reserve(reservation, lease=LEASE)
    await scripts._client.hset(names.preview("w", "p-1"), "expires_at", "1")
    await runs.release(reservation)
    assert exactly(await previews.find("w", "p-1")) == exactly(NoPreview())
