"""The history of approvals, derived from audit entries in their order."""

from collections.abc import Sequence

import pytest

from stores.approvals import Decider, RuleNeed
from stores.audit_entries import ApprovalFacts, Entry
from stores.sql.approvals import ApprovalRow, Cursor, Filter, find, page
from stores.sql.database import Database
from tests.support.chains import NOON, append, entry

MINUTE = 60_000
NEEDS = (RuleNeed("payments", 2),)
REQUESTED = ApprovalFacts(
    requester="robot",
    needed=2,
    needs=NEEDS,
    policies=["sha256:p"],
    decide_ms=60 * MINUTE,
    use_ms=15 * MINUTE,
)


def requested(preview_id: str = "p-1", after: int = 0, requester: str = "robot") -> Entry:
    facts = ApprovalFacts(requester=requester, needs=NEEDS, decide_ms=60 * MINUTE)
    return entry(
        "approval.requested",
        preview_id=preview_id,
        action="webhook.save",
        provider="independent",
        digest="sha256:d",
        principal="k-robot",
        status="pending",
        at=NOON + after,
        approval=REQUESTED if requester == "robot" else facts,
    )


def decided(subject: str, state: str, decision: str = "approve", after: int = 1) -> Entry:
    facts = ApprovalFacts(decision=decision, approver=subject, role="approver")
    return entry(
        "approval.decided",
        preview_id="p-1",
        principal=f"k-{subject}",
        status=state,
        at=NOON + after,
        approval=facts,
        detail="Seen.",
    )


def ended(state: str, preview_id: str = "p-1", after: int = 2) -> Entry:
    return entry("approval.ended", preview_id=preview_id, status=state, at=NOON + after)


ANY = Filter()
INTENDED = entry(
    "run.intended", preview_id="p-1", run_id="r-1", at=NOON + 3, approval=ApprovalFacts()
)
NOT_SENT = entry("run.ended", preview_id="p-1", run_id="r-1", status="not_sent", at=NOON + 4)
APPROVED = [requested(), decided("ann", "pending"), decided("bob", "approved", after=2)]


async def kept(database: Database, entries: Sequence[Entry], batch: int) -> ApprovalRow:
    """The row after these entries, appended in batches."""
    sources = [(f"s-{number}", each) for number, each in enumerate(entries)]
    for first in range(0, len(sources), batch):
        await append(database, sources[first : first + batch])
        await append(database, sources[first : first + batch])  # a shipper that came twice
    async with database.connect() as connection:
        row = await find(connection, "w", "p-1")
    assert row
    return row


HISTORIES = [
    ([requested()], "pending", None),
    (APPROVED, "approved", None),
    ([requested(), decided("ann", "denied", "deny")], "denied", None),
    ([requested(), ended("expired")], "expired", None),
    ([requested(), ended("cancelled")], "cancelled", None),
    ([*APPROVED, ended("withdrawn", after=3)], "withdrawn", None),
    ([*APPROVED, INTENDED], "executed", "r-1"),
    ([*APPROVED, INTENDED, NOT_SENT], "approved", None),
    ([*APPROVED, INTENDED, NOT_SENT, ended("outdated", after=5)], "outdated", None),
]


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize(("entries", "state", "run_id"), HISTORIES)
async def test_the_entries_tell_the_state(
    database: Database, entries: Sequence[Entry], state: str, run_id: str | None, batch: int
) -> None:
    """One by one or together, and if they come twice; the row knows its entries."""
    row = await kept(database, entries, batch)
    assert (row.state_at(NOON + 5), row.run_id) == (state, run_id)
    assert row.all_entries == list(range(1, len(entries) + 1))


async def test_the_row_has_what_was_asked_and_decided(database: Database) -> None:
    row = await kept(database, APPROVED, 10)
    assert (row.requester, row.requester_key, row.digest) == ("robot", "k-robot", "sha256:d")
    assert (row.all_needs, row.policies) == (NEEDS, '["sha256:p"]')
    assert (row.requested_at, row.decide_by) == (NOON, NOON + 60 * MINUTE)
    bob = Decider(
        decision="approve", subject="bob", key="k-bob", role="approver", reason="Seen.", at=NOON + 2
    )
    assert row.all_deciders[1] == bob
    used = NOON + 2 + 15 * MINUTE
    assert row.use_by == used
    assert (row.state_at(used - 1), row.state_at(used)) == ("approved", "unused")


async def test_runs_without_an_approval_leave_no_row(database: Database) -> None:
    """Nor do entries of an approval whose request is not known."""
    plain = entry("run.intended", preview_id="p-1", run_id="r-1")
    for number, each in enumerate((plain, NOT_SENT, decided("ann", "denied"), INTENDED)):
        await append(database, [(f"s-{number}", each)])
    async with database.connect() as connection:
        assert await find(connection, "w", "p-1") is None
        assert await find(connection, "w", "p-1\0") is None


async def test_a_page_is_newest_first_and_leaves_out_what_waits(database: Database) -> None:
    """Two of one millisecond are ordered by their ids; a cursor goes on behind the last one."""
    entries = []
    for number in range(5):
        who = "eve" if number == 3 else "robot"
        entries += [requested(f"p-{number}", number // 2, who), ended("expired", f"p-{number}")]
    entries.append(requested("p-9", 9))
    await append(database, [(f"s-{number}", each) for number, each in enumerate(entries)])

    async def listed(
        filters: Filter = ANY, before: Cursor | None = None, limit: int = 9
    ) -> list[str]:
        async with database.connect() as connection:
            found = await page(connection, "w", filters, now_ms=NOON, before=before, limit=limit)
        return [row.preview_id for row in found]

    assert await listed() == ["p-4", "p-3", "p-2", "p-1", "p-0"]
    assert await listed(limit=2) == ["p-4", "p-3"]
    assert await listed(before=Cursor(NOON + 1, "p-3")) == ["p-2", "p-1", "p-0"]
    assert await listed(Filter(requester="eve")) == ["p-3"]
    assert await listed(Filter(state="denied")) == []
    assert await listed(Filter(state="expired", action="other")) == []


async def test_what_was_approved_is_listed_until_it_can_no_longer_be_used(
    database: Database,
) -> None:
    row = await kept(database, APPROVED, 10)
    assert row.use_by
    for state, now_ms, there in (
        ("approved", row.use_by - 1, True),
        ("approved", row.use_by, False),
        ("unused", row.use_by - 1, False),
        ("unused", row.use_by, True),
    ):
        async with database.connect() as connection:
            found = await page(connection, "w", Filter(state), now_ms=now_ms, limit=9)
        assert bool(found) == there, (state, now_ms)
