"""Notices: added with what they announce, taken for the time of a lease, spread over channels."""

from datetime import timedelta

import msgspec
import pytest

from stores.redis.approvals import Approvals
from stores.redis.notices import Notice, Notices
from stores.redis.outbox import Outbox
from stores.redis.scripts import Scripts
from tests.support.approvals import FACTS, decide, found, hold, withdraw

LEASE = timedelta(seconds=10)
OVER = timedelta()


@pytest.fixture
def approvals(scripts: Scripts) -> Approvals:
    return Approvals(scripts)


@pytest.fixture
def notices(scripts: Scripts) -> Notices:
    return Notices(scripts)


async def take(
    notices: Notices, taker: str, lease: timedelta = LEASE, limit: int = 100
) -> list[Notice]:
    return await notices.take("w", taker=taker, lease=lease, limit=limit)


async def names(notices: Notices, taker: str, lease: timedelta = LEASE) -> set[str]:
    return {notice.name for notice in await take(notices, taker, lease)}


async def test_a_held_preview_has_a_notice(approvals: Approvals, notices: Notices) -> None:
    """With the facts that were held, the state, and the time of the event."""
    decide_by = await hold(approvals)
    approval = await found(approvals)
    (notice,) = await take(notices, "t-1")
    assert notice == Notice(
        name="requested:p-1",
        event="requested",
        preview_id="p-1",
        channel="",
        attempt=1,
        state="pending",
        facts=msgspec.json.encode(FACTS),
        at_ms=approval.requested_at_ms,
        decide_by_ms=decide_by,
        taker="t-1",
    )


async def test_a_reminder_is_due_after_its_time(approvals: Approvals, notices: Notices) -> None:
    await hold(approvals, remind=timedelta(hours=1))
    assert await names(notices, "t-1") == {"requested:p-1"}
    await hold(approvals, preview_id="p-2", remind=timedelta(milliseconds=1))
    while "reminder:p-2" not in (due := await names(notices, "t-2", OVER)):
        assert due <= {"requested:p-2"}


async def test_each_ending_has_its_notice(
    approvals: Approvals, notices: Notices, scripts: Scripts
) -> None:
    """Approved, denied and expired; not what the requester gives up, nor one approval of two."""
    for number, decision in enumerate(("approve", "deny"), start=3):
        await hold(approvals, preview_id=f"p-{number}")
        await decide(approvals, "ann", decision, preview_id=f"p-{number}")  # type: ignore[arg-type]
    await hold(approvals, preview_id="p-2", within=timedelta())
    await Outbox(scripts).collect("w", limit=1)
    await hold(approvals, 2)
    await decide(approvals, "ann")
    await withdraw(approvals)
    due = {notice.name: notice.state for notice in await take(notices, "t-1")}
    assert {name: due[name] for name in due if not name.startswith("requested:")} == {
        "approved:p-3": "approved",
        "denied:p-4": "denied",
        "expired:p-2": "expired",
    }


async def test_a_taken_notice_is_due_again_after_its_lease(
    approvals: Approvals, notices: Notices
) -> None:
    """So that a gateway that dies loses none; each taking counts."""
    await hold(approvals)
    assert [it.attempt for it in await take(notices, "t-1", OVER)] == [1]
    assert [it.attempt for it in await take(notices, "t-2")] == [2]
    assert await take(notices, "t-3") == []


async def test_a_call_that_is_sent_twice_takes_the_same(
    approvals: Approvals, notices: Notices
) -> None:
    """A lost reply costs no attempt."""
    await hold(approvals)
    assert await take(notices, "t-1") == await take(notices, "t-1") != []


async def test_no_more_than_the_limit_is_taken(approvals: Approvals, notices: Notices) -> None:
    for number in range(5):
        await hold(approvals, preview_id=f"p-{number}")
    assert [len(await take(notices, f"t-{n}", limit=2)) for n in range(4)] == [2, 2, 1, 0]


async def test_an_event_is_spread_once(approvals: Approvals, notices: Notices) -> None:
    """What was delivered meanwhile is not due again."""
    await hold(approvals)
    (event,) = await take(notices, "t-1")
    await notices.spread("w", event, ["c-1", "c-2"])
    first, second = await take(notices, "t-2")
    assert {first.channel, second.channel} == {"c-1", "c-2"}
    assert first.attempt == 1
    await notices.end("w", first)
    await notices.spread("w", event, ["c-1", "c-2"])
    assert await names(notices, "t-3", OVER) == set()


async def test_an_event_without_a_channel_goes(
    approvals: Approvals, notices: Notices, scripts: Scripts
) -> None:
    await hold(approvals)
    (event,) = await take(notices, "t-1")
    await notices.spread("w", event, [])
    assert (await Outbox(scripts).collect("w", limit=1)).notices == 0
    assert await scripts._client.exists("relay:{w}:notices", "relay:{w}:notice_attempts") == 0


async def test_a_postponed_notice_waits(approvals: Approvals, notices: Notices) -> None:
    """Only the gateway that holds its lease postpones it."""
    await hold(approvals)
    (stale,) = await take(notices, "t-1", OVER)
    (notice,) = await take(notices, "t-2")
    assert not await notices.postpone("w", stale, LEASE, attempts=1)
    assert await notices.postpone("w", notice, LEASE, attempts=1)
    assert await take(notices, "t-3") == []
    assert not await notices.postpone("w", notice, OVER, attempts=1)


async def test_collecting_sees_what_is_due_and_what_is_pending(
    approvals: Approvals, notices: Notices, scripts: Scripts
) -> None:
    """With the share of its time that has passed for the next deadline, and what expired, once."""
    outbox = Outbox(scripts)
    await hold(approvals, within=timedelta())
    await hold(approvals, preview_id="p-2", within=timedelta(days=300))
    seen = await outbox.collect("w", limit=1)
    assert (seen.notices, seen.pending) == (3, 1)
    assert 0 <= seen.used < 0.01
    assert [it.action for it in seen.expired] == ["webhook.save"]
    await take(notices, "t-1")
    again = await outbox.collect("w", limit=1)
    assert (again.notices, again.expired) == (0, [])


async def test_notices_that_no_gateway_takes_expire(approvals: Approvals, scripts: Scripts) -> None:
    """Where no gateway runs, or no channel exists, nothing is kept for ever."""
    await hold(approvals)
    two_days_ms = 2 * 24 * 3600 * 1000
    assert 0 < await scripts._client.pttl("relay:{w}:notices") <= two_days_ms
