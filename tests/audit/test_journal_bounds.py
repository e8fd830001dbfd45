"""No flood of refusals fills the store, or hides what others did."""

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from gateway.audit.journal import DIFFERENT_MAX, MORE, UNAUTHENTICATED_MAX, Journal
from stores.audit_entries import NOWHERE, Entry
from tests.audit.test_journal import REFUSED, Flaky, entries, journal, outbox, waiting

__all__ = ["journal", "outbox"]


def dropped() -> float:
    return REGISTRY.get_sample_value("relay_audit_entries_dropped_total") or 0.0


@pytest.mark.parametrize(
    ("status", "limit"), [("forbidden", DIFFERENT_MAX), ("unauthenticated", UNAUTHENTICATED_MAX)]
)
async def test_a_flood_of_different_ones_is_bound(
    journal: Journal, outbox: Flaky, status: str, limit: int
) -> None:
    """Those above the bound are one entry with their number; what is alike to one inside still
    counts there. Of strangers, who are anybody, fewer are told apart.
    """
    before, refused = dropped(), replace(REFUSED, status=status)
    for number in range(limit + 7):
        journal.note("w", replace(refused, address=f"2001:db8::{number:x}"))
    journal.note("w", replace(refused, address="2001:db8::0"))
    await journal.write()

    *first, more = await entries(outbox)
    assert [entry.count for entry in first] == [2, *[1] * (limit - 1)]
    assert more == Entry(
        event=refused.event, principal=refused.principal, reason=MORE, count=7, at=more.at
    )
    assert dropped() - before == 7


async def test_no_flood_hides_who_reads(journal: Journal, outbox: Flaky) -> None:
    """Strangers who name keys take none of the room of others; in a flood of his own the reader
    is still named, with the number of his readings.
    """
    reading = Entry(event="audit.read", principal="reader")
    for number in range(2 * DIFFERENT_MAX):
        named = replace(REFUSED, status="unauthenticated", subject=f"{number:08}")
        journal.note("w", named)
        journal.note("w", replace(REFUSED, address=f"2001:db8::{number:x}"))
        journal.note("w", replace(reading, detail=f"limit={number}"))
    await journal.write()

    read = [one for one in await entries(outbox) if one.event == "audit.read"]
    assert {one.principal for one in read} == {"reader"}
    assert sum(one.count for one in read) == 2 * DIFFERENT_MAX


async def test_a_flood_of_one_workspace_takes_no_room_of_another(
    journal: Journal, outbox: Flaky
) -> None:
    """Nor do strangers."""
    for workspace in (NOWHERE, "w"):
        for number in range(DIFFERENT_MAX + 1):
            journal.note(workspace, replace(REFUSED, address=f"2001:db8::{number:x}"))
    journal.note("x", REFUSED)
    await journal.write()
    assert [entry.reason for entry in await entries(outbox, "x")] == [REFUSED.reason]


async def test_nothing_is_lost_with_a_reply(journal: Journal, outbox: Flaky) -> None:
    """What goes again is as it was: the audit, which keeps each source once, has every number."""
    outbox.lost = {"w"}
    for number in range(DIFFERENT_MAX + 30):
        journal.note("w", replace(REFUSED, address=f"2001:db8::{number:x}"))
    await journal.write()
    for number in range(DIFFERENT_MAX + 7):
        journal.note("w", replace(REFUSED, address=f"2001:db9::{number:x}"))
    outbox.lost = set()
    await journal.write()
    kept = dict(await waiting(outbox))
    assert sorted(one.count for one in kept.values() if one.reason == MORE) == [7, 30]
    assert sum(one.count for one in kept.values()) == 2 * DIFFERENT_MAX + 37


async def test_the_bound_holds_while_the_store_is_away(journal: Journal, outbox: Flaky) -> None:
    """What goes again and what is new have it each; the rest is counted, however long it lasts."""
    before = dropped()
    outbox.away = {"w"}
    for attempt in range(4):
        for number in range(DIFFERENT_MAX + 5):
            journal.note("w", replace(REFUSED, address=f"2001:{attempt}::{number:x}"))
        await journal.write()
    outbox.away = set()
    await journal.write()

    written = await entries(outbox)
    many = [one.count for one in written if one.reason == MORE]
    assert len(written) - len(many) == 2 * DIFFERENT_MAX
    assert many == [5, 3 * (DIFFERENT_MAX + 5) - DIFFERENT_MAX]
    assert dropped() - before == sum(many)
