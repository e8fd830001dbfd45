"""Held previews: who decides, when, and what exists before and after."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from stores.approvals import Decision, State
from stores.redis import names
from stores.redis.approvals import (
    Approvals,
    Decided,
    DigestMismatch,
    Ended,
    Executed,
    NoApproval,
    OwnRequest,
    Withdrawn,
)
from stores.redis.outbox import Outbox
from stores.redis.previews import Live, NoPreview, Previews
from stores.redis.reservations import NotApproved, Reserved
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from tests.support.approvals import HOUR, decide, found, hold, withdraw
from tests.support.reservations import LEASE, reservation

SECOND = timedelta(seconds=1)
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def approvals(scripts: Scripts) -> Approvals:
    return Approvals(scripts)


async def outbox(scripts: Scripts) -> list[tuple[str, str]]:
    """The event and the state of each entry."""
    rows: Any = await scripts._client.xrange(names.outbox("w"))
    return [
        (msgspec.json.decode(row[b"entry"])["event"], row[b"status"].decode()) for _, row in rows
    ]


async def test_nothing_executable_exists_while_a_preview_is_held(
    approvals: Approvals, scripts: Scripts
) -> None:
    """No preview key, so that every script of every release answers that there is no preview."""
    decide_by = await hold(approvals)
    approval = await found(approvals)
    assert (approval.state, approval.decide_by_ms) == ("pending", decide_by)
    assert approval.doc == b'{"preview_id":"p-1"}'
    assert await Previews(scripts).find("w", "p-1") == NoPreview()
    answer = await Runs(scripts).reserve(reservation(), lease=LEASE)
    assert answer == NotApproved("p-1", "pending", decide_by)
    assert await scripts._client.exists(names.preview("w", "p-1")) == 0


async def test_the_last_needed_approval_makes_the_preview(
    approvals: Approvals, scripts: Scripts
) -> None:
    """With its bytes, until `use_by`."""
    await hold(approvals, 2, use_within=timedelta(minutes=15))
    assert await decide(approvals, "ann") == Decided("pending")
    assert await Previews(scripts).find("w", "p-1") == NoPreview()
    assert await decide(approvals, "bob") == Decided("approved")
    approval = await found(approvals)
    assert await Previews(scripts).find("w", "p-1") == Live(
        b'{"preview_id":"p-1"}', approval.use_by_ms
    )
    assert approval.use_by_ms - approval.deciders[1].at == 15 * 60 * 1000
    assert [each.subject for each in approval.deciders] == ["ann", "bob"]
    assert isinstance(await Runs(scripts).reserve(reservation(), lease=LEASE), Reserved)


async def test_each_rule_counts_its_own_approvals(approvals: Approvals) -> None:
    """One approval may count for several rules, and none counts for a rule it does not meet."""
    await hold(approvals, 1, 2)
    assert await decide(approvals, "ann", rules=[2]) == Decided("pending")
    assert await decide(approvals, "bob", rules=[2]) == Decided("pending")
    assert (await found(approvals)).left == [1, 0]
    assert await decide(approvals, "eve", rules=[]) == Decided("pending")
    assert await decide(approvals, "cid", rules=[1]) == Decided("approved")


async def test_one_denial_ends_it(approvals: Approvals, scripts: Scripts) -> None:
    """Also by an approver who had approved; the bytes go."""
    await hold(approvals, 2)
    await decide(approvals, "ann")
    assert await decide(approvals, "ann", "deny") == Decided("denied")
    assert await decide(approvals, "bob") == Ended("denied")
    assert (await found(approvals)).doc is None
    assert await Previews(scripts).find("w", "p-1") == NoPreview()


async def test_a_decision_that_is_sent_twice_counts_once(
    approvals: Approvals, scripts: Scripts
) -> None:
    await hold(approvals, 2)
    assert await decide(approvals, "ann") == await decide(approvals, "ann") == Decided("pending")
    await decide(approvals, "bob")
    assert await decide(approvals, "bob") == Decided("approved")
    await hold(approvals, preview_id="p-2")
    for _ in range(2):
        assert await decide(approvals, "ann", "deny", preview_id="p-2") == Decided("denied")
    assert [state for event, state in await outbox(scripts) if event == "approval.decided"] == [
        *("pending", "approved", "denied")
    ]


@pytest.mark.parametrize(
    ("subject", "key", "makers"),
    [
        ("agent", "k-9", []),
        ("ann", "k-agent", []),
        ("ann", "k-9", ["admin", "agent"]),
        ("ann", "k-9", ["k-agent"]),
    ],
)
@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_requesters_do_not_decide_on_their_requests(
    approvals: Approvals, subject: str, key: str, makers: list[str], decision: Decision
) -> None:
    """By subject, by key, and with a key that the requester made, however many steps before."""
    await hold(approvals)
    answer = await decide(approvals, subject, decision, key=key, makers=makers)
    assert answer == OwnRequest()
    assert (await found(approvals)).state == "pending"


async def test_two_keys_of_one_subject_are_one_approval(approvals: Approvals) -> None:
    await hold(approvals, 2)
    await decide(approvals, "ann", key="k-1")
    assert await decide(approvals, "ann", key="k-2") == Decided("pending")
    assert (await found(approvals)).left == [1]


async def test_a_decision_on_other_bytes_is_refused(approvals: Approvals) -> None:
    await hold(approvals)
    assert await decide(approvals, "ann", digest="sha256:e") == DigestMismatch("sha256:d")
    assert (await found(approvals)).state == "pending"


async def test_a_decision_after_the_deadline_is_refused(
    approvals: Approvals, scripts: Scripts
) -> None:
    """Whether or not anything has swept; and it is `expired`, not `denied`."""
    await hold(approvals, within=timedelta())
    assert (await found(approvals)).state == "expired"
    for decision in ("approve", "deny"):
        assert await decide(approvals, "ann", decision) == Ended("expired")
    assert await Previews(scripts).find("w", "p-1") == NoPreview()


async def test_an_approval_that_is_not_used_in_time_is_gone(
    approvals: Approvals, scripts: Scripts
) -> None:
    await hold(approvals, use_within=timedelta())
    await decide(approvals, "ann")
    assert (await found(approvals)).state == "unused"
    assert await Previews(scripts).find("w", "p-1") == NoPreview()
    assert await withdraw(approvals) == Ended("unused")


async def test_giving_up_is_named_by_what_was_given_up(
    approvals: Approvals, scripts: Scripts
) -> None:
    """`cancelled` before the approval, `withdrawn` after it, `outdated` by a changed policy."""
    await hold(approvals)
    assert await withdraw(approvals) == Withdrawn("cancelled")
    assert await withdraw(approvals) == Ended("cancelled")
    assert await decide(approvals, "ann") == Ended("cancelled")
    cases: list[tuple[bool, State]] = [(False, "withdrawn"), (True, "outdated")]
    for outdated, state in cases:
        await hold(approvals, preview_id=state)
        await decide(approvals, "bob", preview_id=state)
        assert await withdraw(approvals, state, outdated=outdated) == Withdrawn(state)
        assert await Previews(scripts).find("w", state) == NoPreview()


async def test_nothing_is_withdrawn_from_a_run(approvals: Approvals, scripts: Scripts) -> None:
    await hold(approvals)
    await decide(approvals, "ann")
    assert isinstance(await Runs(scripts).reserve(reservation(), lease=LEASE), Reserved)
    assert await withdraw(approvals) == Executed("run-1")
    assert (await found(approvals)).run_id == "run-1"


async def test_an_unknown_approval_is_none(approvals: Approvals) -> None:
    assert await approvals.find("w", "p-9") == NoApproval()
    assert await decide(approvals, "ann", preview_id="p-9") == NoApproval()
    assert await withdraw(approvals) == NoApproval()
    await hold(approvals)
    assert await approvals.find("other", "p-1") == NoApproval()


async def test_what_is_pending_is_listed_by_its_deadline(approvals: Approvals) -> None:
    """The latest first, in pages, also where deadlines are equal."""
    for number in range(5):
        await hold(approvals, preview_id=f"p-{number}", within=HOUR + number // 2 * SECOND)
    await hold(approvals, preview_id="p-over", within=timedelta())
    await decide(approvals, "ann", preview_id="p-0")
    listed: list[str] = []
    before = None
    while page := await approvals.pending("w", limit=2, before=before):
        assert len(page) == 2
        listed += [preview_id for preview_id, _ in page]
        before = (page[-1][1], page[-1][0])
    assert listed == ["p-4", "p-3", "p-2", "p-1"]


async def test_the_answer_outlives_the_decision_by_a_day(
    approvals: Approvals, scripts: Scripts
) -> None:
    """Counted from the deadline while it waits, from `use_by` once approved, else from the end."""

    async def lives() -> int:
        approval = await found(approvals)
        key = names.approval("w", "p-1")
        return int(await scripts._client.pexpiretime(key)) - DAY_MS - approval.decide_by_ms

    await hold(approvals, use_within=2 * HOUR)
    assert await lives() == 0
    await decide(approvals, "ann")
    approval = await found(approvals)
    assert await lives() == approval.use_by_ms - approval.decide_by_ms
    await withdraw(approvals)
    assert await lives() < 0


async def test_collect_ends_what_was_not_decided_in_time(
    approvals: Approvals, scripts: Scripts
) -> None:
    """Once, with an entry for the audit; what has time left stays."""
    await hold(approvals, within=timedelta())
    await hold(approvals, preview_id="p-2")
    for _ in range(2):
        collected = await Outbox(scripts).collect("w", limit=100)
        entries = [(it.event, it.preview_id, it.status) for _, it in collected.entries]
        assert entries == [
            ("approval.requested", "p-1", "pending"),
            ("approval.requested", "p-2", "pending"),
            ("approval.ended", "p-1", "expired"),
        ]
    assert (await found(approvals)).state == "expired"
    assert (await found(approvals, "p-2")).state == "pending"
