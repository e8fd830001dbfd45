"""The journal records refusals: like ones as one entry, and none is lost while Redis is away."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.audit.journal import Journal, written
from gateway.telemetry import metrics
from stores.audit_entries import NOWHERE, Entry
from stores.redis.outbox import Outbox
from stores.redis.scripts import RedisUnavailable, Scripts

REFUSED = Entry(
    event="request.refused",
    principal="abcdefgh",
    address="198.51.100.1",
    status="forbidden",
    reason="The key lacks the scope audit:read.",
    detail="GET /audit",
)
# Fields that make two entries different, and fields that do not.
DIFFERENT = [
    {"event": "audit.read"},
    {"principal": "ijklmnop"},
    {"address": "198.51.100.2"},
    {"action": "webhook.save"},
    {"subject": "ijklmnop"},
    {"status": "rate_limited"},
    {"reason": "The key lacks the scope runs:read."},
    {"detail": "GET /runs"},
]
ALIKE: list[dict[str, Any]] = [{}, {"request_id": "r-2"}, {"at": 1}]


class Flaky(Outbox):
    """An outbox that is away, loses the reply of a write, or waits until `gate` is open."""

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
            raise RedisUnavailable(workspace)
        await super().record(workspace, entries)
        if workspace in self.lost:
            raise RedisUnavailable(workspace)


@pytest.fixture
def outbox(scripts: Scripts) -> Flaky:
    return Flaky(scripts)


@pytest.fixture
def journal(outbox: Flaky) -> Journal:
    return Journal(outbox)


async def waiting(outbox: Outbox, workspace: str = "w") -> list[tuple[str, Entry]]:
    return list((await outbox.collect(workspace, limit=10_000)).entries)


async def entries(outbox: Outbox, workspace: str = "w") -> list[Entry]:
    return [entry for _, entry in await waiting(outbox, workspace)]


async def test_like_entries_become_one_with_a_count(journal: Journal, outbox: Flaky) -> None:
    """It has the request and the time of the first one."""
    for fields in ALIKE * 2:
        journal.note("w", replace(REFUSED, **fields))
    await journal.write()

    [entry] = await entries(outbox)
    assert entry.at > 1
    assert entry == replace(REFUSED, at=entry.at, count=2 * len(ALIKE))


async def test_different_entries_stay_separate(journal: Journal, outbox: Flaky) -> None:
    """Entries that differ in a field, or in the workspace."""
    different = [REFUSED, *(replace(REFUSED, **fields) for fields in DIFFERENT)]
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


async def test_a_written_entry_is_not_written_again(journal: Journal, outbox: Flaky) -> None:
    """The next like entry is a new one with its own source."""
    for _ in range(2):
        journal.note("w", REFUSED)
        await journal.write()
    await journal.write()

    written = await waiting(outbox)
    assert [entry.count for _, entry in written] == [1, 1]
    assert len({source for source, _ in written}) == 2


async def test_refused_entries_are_written_once_redis_is_back(
    journal: Journal, outbox: Flaky
) -> None:
    """Each once, of every workspace, and with the entries that were noted in the meantime."""
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


async def test_a_failure_of_one_workspace_repeats_no_entry_of_another(
    journal: Journal, outbox: Flaky
) -> None:
    """Redis goes away between two workspaces: only the second is sent again."""
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
    """The outbox may have it twice; the audit keeps each source once."""
    outbox.lost = {"w"}
    journal.note("w", REFUSED)
    await journal.write()
    outbox.lost = set()
    await journal.write()

    (first, _), (second, _) = await waiting(outbox)
    assert first == second


async def test_entries_are_written_at_the_close(journal: Journal, outbox: Flaky) -> None:
    """Before the first second is over."""
    async with written(journal):
        journal.note("w", REFUSED)
    assert len(await entries(outbox)) == 1


async def test_two_writes_at_once_are_one(journal: Journal, outbox: Flaky) -> None:
    """As at the close, while the loop still writes."""
    journal.note("w", REFUSED)
    await asyncio.gather(journal.write(), journal.write())
    assert len(await entries(outbox)) == 1


async def test_a_cancelled_write_loses_no_entry(journal: Journal, outbox: Flaky) -> None:
    """The next write sends its entries."""
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
    """Under the name that the alerts query."""
    assert b"relay_audit_entries_dropped_total" in metrics.exposition("")[0]
