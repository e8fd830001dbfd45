"""A file that cannot be read or written raises DatabaseUnavailable, like a server that is away."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stores.sql.database import open_database
from stores.sql.drivers.errors import DatabaseUnavailable
from stores.sql.drivers.sqlite import THREAD
from stores.sql.workspaces import bump
from tests.stores.sql.test_outages import HURRIED, bumped, unavailable
from tests.support.gateways import until


def locked(file: Path) -> sqlite3.Connection:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def damaged(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


def shortened(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(3 * 4096)


def replaced(file: Path) -> None:
    """Replace the file with a folder, which cannot be opened."""
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("fails", [locked, damaged, shortened, replaced, Path.unlink])
async def test_an_unwritable_file_is_an_outage(
    sqlite_url: str, tmp_path: Path, fails: Callable[[Path], sqlite3.Connection | None]
) -> None:
    async with open_database(sqlite_url, Path(), patience=HURRIED) as database:
        other = fails(tmp_path / "relay.db")
        await unavailable(lambda: bumped(database))
    if other:
        other.close()


async def test_a_full_disk_is_an_outage(sqlite_url: str) -> None:
    async def work() -> None:
        async with database.begin() as connection:
            await connection.execute("PRAGMA max_page_count = 1")
            await connection.execute("CREATE TABLE more AS SELECT randomblob(100000)")

    async with open_database(sqlite_url, Path(), patience=HURRIED) as database:
        error = await unavailable(work)
        assert "full" in str(error)


async def test_a_file_that_becomes_read_only_is_an_outage(sqlite_url: str) -> None:
    """Like a file system after a fault. root may write whatever the permissions are."""

    async def work() -> None:
        async with database.begin() as connection:
            await connection.execute("PRAGMA query_only = ON")
            await bump(connection)

    async with open_database(sqlite_url, Path(), patience=HURRIED) as database:
        await unavailable(work)


def test_a_failed_connect_leaves_no_thread(tmp_path: Path) -> None:
    """Also where the loop ends at once."""

    async def work() -> None:
        async with open_database(None, tmp_path) as database:
            await bumped(database)

    async def threads_end() -> bool:
        return not any(THREAD in thread.name for thread in threading.enumerate())

    for _ in range(20):
        with pytest.raises(DatabaseUnavailable):
            asyncio.run(work())
    asyncio.run(until(threads_end))
