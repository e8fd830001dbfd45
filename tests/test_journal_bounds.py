"""No flood of refusals fills the store, or hides what others did."""

import asyncio

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from gateway.journal import DIFFERENT_MAX, MORE, STRANGERS_MAX, Journal
from stores.entries import NOWHERE, Entry
from tests.test_journal import REFUSED, Flaky, entries, journal, outbox

__all__ = ["journal", "outbox"]


def dropped() -> float:
    return REGISTRY.get_sample_value("audit_entries_dropped_total") or 0.0


@pytest.mark.parametrize(
    ("status", "most"), [("forbidden", DIFFERENT_MAX), ("unauthenticated", STRANGERS_MAX)]
)
async def test_a_flood_of_different_ones_is_bound(
    journal: Journal, outbox: Flaky, status: str, most: int
) -> None:
    """Those above the bound are one entry with their number; what is alike to one inside still
    counts there. Of strangers, who are anybody, fewer are told apart.
    """
    before, refused = dropped(), replace(REFUSED, status=status)
    for number in range(most + 7):
        journal.note("w", replace(refused, address=f"2001:db8::{number:x}"))
    journal.note("w", replace(refused, address="2001:db8::0"))
    await journal.write()

    *first, more = await entries(outbox)
    assert [entry.count for entry in first] == [2, *[1] * (most - 1)]
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


async def test_the_number_of_many_outlasts_the_store(journal: Journal, outbox: Flaky) -> None:
    """What is told of many takes in what comes beyond the bound meanwhile."""
    before = dropped()
    outbox.away = {"w"}
    for number in range(DIFFERENT_MAX + 30):
        journal.note("w", replace(REFUSED, address=f"2001:db8::{number:x}"))
    outbox.gate.clear()
    writing = asyncio.create_task(journal.write())
    await outbox.asked.wait()
    for number in range(DIFFERENT_MAX + 2):
        journal.note("w", replace(REFUSED, address=f"2001:db9::{number:x}"))
    outbox.gate.set()
    await writing
    outbox.away = set()
    await journal.write()
    [many] = [one for one in await entries(outbox) if one.reason == MORE]
    assert many.count == 30 + 2
    assert dropped() - before == 30 + 2 + DIFFERENT_MAX


async def test_the_bound_holds_while_the_store_is_away(journal: Journal, outbox: Flaky) -> None:
    """What was kept and what comes new share it: the new stay, what has no room is dropped."""
    before = dropped()
    outbox.away = {"w"}
    for number in range(DIFFERENT_MAX):
        journal.note("w", replace(REFUSED, address=f"2001:db8::{number:x}"))
    outbox.gate.clear()
    writing = asyncio.create_task(journal.write())
    await outbox.asked.wait()
    for number in range(3):
        journal.note("w", replace(REFUSED, address=f"198.51.100.{number}"))
    outbox.gate.set()
    await writing
    outbox.away = set()
    await journal.write()

    written = await entries(outbox)
    assert len(written) == DIFFERENT_MAX
    assert sum(entry.address.startswith("198.51.100.") for entry in written) == 3
    assert dropped() - before == 3
