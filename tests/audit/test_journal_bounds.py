"""A flood of refusals neither fills the store nor hides what other callers did."""

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
    ("unauthenticated", "limit"), [(False, DIFFERENT_MAX), (True, UNAUTHENTICATED_MAX)]
)
async def test_different_entries_above_the_bound_become_one(
    journal: Journal, outbox: Flaky, unauthenticated: bool, limit: int
) -> None:
    """That entry has their number. An entry like a recorded one still counts there. The bound of
    unauthenticated callers is smaller.
    """
    before, refused = dropped(), REFUSED
    for number in range(limit + 7):
        refusal = replace(refused, address=f"2001:db8::{number:x}")
        journal.note("w", refusal, unauthenticated=unauthenticated)
    first = replace(refused, address="2001:db8::0")
    journal.note("w", first, unauthenticated=unauthenticated)
    await journal.write()

    *recorded, more = await entries(outbox)
    assert [entry.count for entry in recorded] == [2, *[1] * (limit - 1)]
    assert more == Entry(
        event=refused.event, principal=refused.principal, reason=MORE, count=7, at=more.at
    )
    assert dropped() - before == 7


async def test_a_flood_of_refusals_hides_no_reading(journal: Journal, outbox: Flaky) -> None:
    """Unauthenticated callers take no room from others. A reader who reads too often is still
    named, with the number of readings.
    """
    reading = Entry(event="audit.read", principal="reader")
    for number in range(2 * DIFFERENT_MAX):
        named = replace(REFUSED, status="unauthenticated", subject=f"{number:08}")
        journal.note("w", named, unauthenticated=True)
        journal.note("w", replace(REFUSED, address=f"2001:db8::{number:x}"))
        journal.note("w", replace(reading, detail=f"limit={number}"))
    await journal.write()

    read = [one for one in await entries(outbox) if one.event == "audit.read"]
    assert {one.principal for one in read} == {"reader"}
    assert sum(one.count for one in read) == 2 * DIFFERENT_MAX


async def test_a_flood_of_one_workspace_takes_no_room_of_another(
    journal: Journal, outbox: Flaky
) -> None:
    """Neither does a flood of requests without a workspace."""
    for workspace in (NOWHERE, "w"):
        for number in range(DIFFERENT_MAX + 1):
            journal.note(workspace, replace(REFUSED, address=f"2001:db8::{number:x}"))
    journal.note("x", REFUSED)
    await journal.write()
    assert [entry.reason for entry in await entries(outbox, "x")] == [REFUSED.reason]


async def test_a_lost_reply_loses_no_entry(journal: Journal, outbox: Flaky) -> None:
    """Entries are sent again unchanged. The audit keeps each source once, and has every count."""
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
    """Entries that are sent again and new ones each have the bound; the rest is only counted."""
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
