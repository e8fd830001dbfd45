"""What the audit is told of refusals: many alike in one, none lost while the store is away."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from gateway.journal import DIFFERENT_MAX, MORE, STRANGERS_MAX, Journal, written
from gateway.telemetry import metrics
from stores.entries import NOWHERE, Entry
from stores.outbox import Outbox
from stores.scripts import Scripts, StoreUnavailable

REFUSED = Entry(
    event="request.refused",
    principal="abcdefgh",
    address="198.51.100.1",
    status="forbidden",
    reason="This takes the scope audit:read.",
    detail="GET /audit",
)
# What makes two of them different, and what does not.
DIFFERENT = [
    {"event": "audit.read"},
    {"principal": "ijklmnop"},
    {"address": "198.51.100.2"},
    {"action": "webhook.save"},
    {"subject": "ijklmnop"},
    {"status": "rate_limited"},
    {"reason": "This takes the scope runs:read."},
    {"detail": "GET /runs"},
]
ALIKE: list[dict[str, Any]] = [{}, {"request_id": "r-2"}, {"at": 1}]


class Flaky(Outbox):
    """Is away, or does as asked and loses the reply, or waits until `gate` is open."""

    def __init__(self, scripts: Scripts) -> None:
        super().__init__(scripts)
        self.away: set[str] = set()
        self.lost: set[str] = set()
        self.asked, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def record(self, workspace: str, entries: Sequence[tuple[str, Entry]]) -> None:
        self.asked.set()
        await self.gate.wait()
        if workspace in self.away:
            raise StoreUnavailable(workspace)
        await super().record(workspace, entries)
        if workspace in self.lost:
            raise StoreUnavailable(workspace)


@pytest.fixture
def outbox(scripts: Scripts) -> Flaky:
    return Flaky(scripts)


@pytest.fixture
def journal(outbox: Flaky) -> Journal:
    return Journal(outbox)


async def waiting(outbox: Outbox, workspace: str = "w") -> list[tuple[str, Entry]]:
    return list((await outbox.collect(workspace, most=10_000)).entries)


async def entries(outbox: Outbox, workspace: str = "w") -> list[Entry]:
    return [entry for _, entry in await waiting(outbox, workspace)]


def dropped() -> float:
    return REGISTRY.get_sample_value("audit_entries_dropped_total") or 0.0


async def test_what_is_alike_is_one_entry_with_a_count(journal: Journal, outbox: Flaky) -> None:
    """The first of them stands for all, its request and its time."""
    for facts in ALIKE * 2:
        journal.note("w", replace(REFUSED, **facts))
    await journal.write()

    [entry] = await entries(outbox)
    assert entry.at > 1
    assert entry == replace(REFUSED, at=entry.at, count=2 * len(ALIKE))


async def test_what_differs_stands_apart(journal: Journal, outbox: Flaky) -> None:
    """In who, whence, what or why; and in the workspace."""
    different = [REFUSED, *(replace(REFUSED, **facts) for facts in DIFFERENT)]
    for entry in different * 2:
        journal.note("w", entry)
    journal.note(NOWHERE, REFUSED)
    await journal.write()

    written = await entries(outbox)
    assert [replace(entry, at=0) for entry in written] == [
        replace(entry, count=2) for entry in different
    ]
    [stranger] = await entries(outbox, NOWHERE)
    assert stranger.count == 1


async def test_what_was_written_is_not_written_again(journal: Journal, outbox: Flaky) -> None:
    """The next alike is an entry of its own, with a source of its own."""
    for _ in range(2):
        journal.note("w", REFUSED)
        await journal.write()
    await journal.write()

    written = await waiting(outbox)
    assert [entry.count for _, entry in written] == [1, 1]
    assert len({source for source, _ in written}) == 2


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


async def test_what_the_store_did_not_take_is_written_once_it_is_back(
    journal: Journal, outbox: Flaky
) -> None:
    """Of each workspace, beside what was noted meanwhile; each once."""
    outbox.away = {"w", "x"}
    for workspace in ("w", "x"):
        journal.note(workspace, REFUSED)
    await journal.write()
    journal.note("w", REFUSED)
    await journal.write()
    outbox.away = set()
    await journal.write()
    await journal.write()

    assert [entry.count for entry in await entries(outbox)] == [1, 1]
    assert [entry.count for entry in await entries(outbox, "x")] == [1]


async def test_what_one_workspace_got_is_not_written_again_for_another(
    journal: Journal, outbox: Flaky
) -> None:
    """The store left between two of them: only the second is offered again."""
    outbox.away = {"x"}
    for workspace in ("w", "x"):
        journal.note(workspace, REFUSED)
    await journal.write()
    outbox.away = set()
    await journal.write()

    assert len(await entries(outbox)) == len(await entries(outbox, "x")) == 1


async def test_an_entry_whose_reply_was_lost_keeps_its_source(
    journal: Journal, outbox: Flaky
) -> None:
    """It may be in the outbox twice: by its source the audit keeps one."""
    outbox.lost = {"w"}
    journal.note("w", REFUSED)
    await journal.write()
    outbox.lost = set()
    await journal.write()

    (first, _), (second, _) = await waiting(outbox)
    assert first == second


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


async def test_what_was_noted_is_written_at_the_close(journal: Journal, outbox: Flaky) -> None:
    """Before the first second is over."""
    async with written(journal):
        journal.note("w", REFUSED)
    assert len(await entries(outbox)) == 1


async def test_a_writing_that_is_cancelled_loses_nothing(journal: Journal, outbox: Flaky) -> None:
    """What it held is there for the next."""
    outbox.gate.clear()
    journal.note("w", REFUSED)
    writing = asyncio.create_task(journal.write())
    await outbox.asked.wait()
    writing.cancel()
    await asyncio.wait({writing})
    assert writing.cancelled()
    outbox.gate.set()
    await journal.write()
    assert len(await entries(outbox)) == 1


def test_the_counter_is_exposed() -> None:
    """Under the name that alerts ask for."""
    assert b"audit_entries_dropped_total" in metrics.exposition("")[0]
