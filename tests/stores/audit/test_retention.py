"""Retention removes the start of a chain. The rest verifies; no tampering is removed unnoticed."""

import asyncio
from pathlib import Path

import pytest

from stores.audit.chain import BrokenChain
from stores.audit.pages import audited_workspaces
from stores.audit.retention import remove_before
from stores.audit.verify import checkpoint, verify
from stores.audit.walk import Verified
from stores.sql.database import Database, open_database
from stores.sql.runs import find_run
from tests.support.chains import CHAIN, NOON, append, day, ended, head, intended, rows


async def remove(database: Database, second: int, *, batch: int = 1000) -> int:
    """Remove the entries before this second of the day."""
    cutoff = NOON + second * 1000
    return await remove_before(
        database, CHAIN, "w", cutoff_ms=cutoff, now_ms=NOON + 99, batch=batch
    )


async def test_a_young_chain_is_not_locked(postgres_url: str, tmp_path: Path) -> None:
    """The daily check reads every chain while other gateways append."""
    async with open_database(postgres_url, tmp_path) as database:
        await append(database, day(3))
        async with database.begin() as appending, asyncio.timeout(5):
            await CHAIN.locked_head(appending, "w")
            assert await remove(database, 0) == 0


@pytest.mark.parametrize("batch", [1, 3, 1000])
async def test_older_entries_are_removed(database: Database, batch: int) -> None:
    """Of ten entries, a second apart. The newest stays however old it is."""
    await append(database, day(10))
    left = 10
    for second, older in [(0, 0), (1, 0), (2, 1), (8, 7), (9, 8), (10, 9), (11, 9), (99, 9)]:
        assert await remove(database, second, batch=batch) == left - (10 - older)
        left = 10 - older
        assert [row.seq for row in await rows(database)] == list(range(older + 1, 11))
        assert await verify(database, CHAIN, "w") == Verified("w", entries=left, last=10)


async def test_a_removal_leaves_a_signed_checkpoint(database: Database) -> None:
    """Before the first entry that stays. Without a removal there is none."""
    await append(database, day(5))
    macs = [row.mac for row in await rows(database)]
    for second, kept in ((1, None), (3, 2), (5, 4)):
        await remove(database, second)
        async with database.connect() as connection:
            left = await checkpoint(connection, "w")
        assert left == (kept and CHAIN.checkpoint("w", kept, macs[kept - 1], NOON + 99))


async def test_a_removal_stops_at_the_first_younger_entry(database: Database) -> None:
    """Clocks differ a little: an old entry after a young one stays."""
    times = [NOON, NOON + 1000, NOON + 9000, NOON + 2000, NOON + 9000]
    await append(database, [(str(n), intended(f"r-{n}", at=at)) for n, at in enumerate(times)])
    assert await remove(database, 5) == 2
    assert [row.seq for row in await rows(database)] == [3, 4, 5]


async def test_the_chain_continues_after_a_removal(database: Database) -> None:
    await append(database, day(4))
    assert await remove(database, 99) == 3
    await append(database, day(2, first=5))
    assert await remove(database, 6) == 2
    assert await verify(database, CHAIN, "w") == Verified("w", entries=1, last=6)


async def test_a_first_entry_with_an_edited_time_is_found(
    database: Database,
) -> None:
    """The time of the row is not signed, and the other entries are old enough to be removed."""
    await append(database, day(5))
    async with database.begin() as connection:
        await connection.execute("UPDATE audit SET at = $1 WHERE seq = 1", NOON + 10**9)
    with pytest.raises(BrokenChain):
        await remove(database, 4)


@pytest.mark.parametrize(
    ("column", "value"),
    [("at", NOON - 10**9), ("status", "failed"), ("entry", "{}"), ("mac", bytes(32))],
)
async def test_a_tampered_entry_is_not_removed(
    database: Database, column: str, value: object
) -> None:
    """An entry with an older time, or an edited one, stays and is found."""
    await append(database, day(5))
    async with database.begin() as connection:
        await connection.execute(f"UPDATE audit SET {column} = $1 WHERE seq = 3", value)
    with pytest.raises(BrokenChain):
        await remove(database, 4)
    assert len(await rows(database)) == 5


async def test_a_forged_checkpoint_or_head_stops_removal(database: Database) -> None:
    await append(database, day(5))
    assert await remove(database, 3) == 2
    for forge in ("UPDATE audit_checkpoints SET removed_at = 1", "DELETE FROM audit_heads"):
        async with database.begin() as connection:
            await connection.execute(forge)
        with pytest.raises(BrokenChain):
            await remove(database, 4)
    assert len(await rows(database)) == 3


async def test_a_chain_without_its_head_is_not_started_again(database: Database) -> None:
    """Even if all its entries were removed."""
    await append(database, day(5))
    assert await remove(database, 99) == 4
    for table in ("audit_heads", "audit"):
        async with database.begin() as connection:
            await connection.execute(f"DELETE FROM {table}")
        with pytest.raises(BrokenChain):
            await append(database, day(1, first=6))


async def test_old_runs_are_removed(database: Database) -> None:
    """Runs that have ended. Running ones and those of other workspaces stay."""
    await append(database, [("1", ended("older", at=NOON)), ("2", intended("runs"))])
    await append(database, [("3", ended("old", at=NOON)), ("4", ended("new", at=NOON + 5012))])
    await append(database, [("1", ended("old", at=NOON))], workspace="other")
    await remove(database, 5, batch=1)
    async with database.connect() as connection:
        assert await find_run(connection, "w", "older") is None
        assert await find_run(connection, "w", "old") is None
        assert await find_run(connection, "w", "runs")
        assert await find_run(connection, "w", "new")
        assert await find_run(connection, "other", "old")


async def test_concurrent_removals_remove_once(database: Database) -> None:
    """The daily work of two replicas, with appends in between."""
    await append(database, day(30))
    counts = await asyncio.gather(
        *(remove(database, 21, batch=4) for _ in range(3)),
        *(append(database, day(1, first=31 + n)) for n in range(5)),
    )
    assert sum(counts[:3]) == 20
    assert await verify(database, CHAIN, "w") == Verified("w", entries=15, last=35)


async def test_a_removal_without_a_chain_starts_none(database: Database) -> None:
    assert await remove(database, 99) == 0
    assert await verify(database, CHAIN, "w") == Verified("w", entries=0, last=0)
    async with database.connect() as connection:
        assert await audited_workspaces(connection) == []
        assert await connection.fetch("SELECT seq FROM audit_heads") == []
    await append(database, day(1))
    assert (await head(database)).seq == 1
