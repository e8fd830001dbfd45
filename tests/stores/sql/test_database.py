"""Transactions are atomic and isolated on both databases, and only outages are translated."""

import asyncio
import threading
from pathlib import Path

import pytest

from stores.sql.database import CONNECTIONS, Database, open_database
from stores.sql.drivers.connection import Connection
from stores.sql.drivers.errors import IntegrityError, StatementFailed
from stores.sql.drivers.sqlite import THREAD
from stores.sql.workspaces import bump, create, generation, list_all
from tests.support.gateways import until


async def written(database: Database) -> int:
    """The committed generation: how often `bump` has happened."""
    async with database.connect() as connection:
        return await generation(connection)


def in_use(database: Database) -> int:
    return CONNECTIONS - database._slots._value


async def test_a_transaction_is_visible_when_it_ends(database: Database) -> None:
    """And not before."""
    async with database.begin() as connection:
        await bump(connection)
        assert await written(database) == 0
    assert await written(database) == 1


async def test_a_transaction_that_raises_changes_nothing(database: Database) -> None:
    """Its error is not translated: an OSError that is not the database's is no outage."""

    async def work() -> None:
        async with database.begin() as connection:
            await bump(connection)
            raise OSError("of another kind")

    with pytest.raises(OSError, match="of another kind"):
        await work()
    assert await written(database) == 0
    assert in_use(database) == 0


async def test_a_cancelled_transaction_changes_nothing_and_returns_its_connection(
    database: Database,
) -> None:
    """At every await, cancelled once or twice. The next transaction finds no lock."""
    errors: list[object] = []
    for turns in range(40):
        task = asyncio.create_task(busy(database))
        for _ in range(turns):
            await asyncio.sleep(0 if turns % 2 else 0.0003)
        task.cancel()
        # Cancel again, while the first cancellation closes the connection.
        for _ in range(turns % 5):
            await asyncio.sleep(0)
            task.cancel()
        # Keep the error like a finished task does, so that what it refers to is not collected.
        errors += await asyncio.gather(task, return_exceptions=True)
        assert in_use(database) == 0
        async with asyncio.timeout(2), database.begin() as connection:
            assert await generation(connection) == turns
            await bump(connection)
    assert {type(error) for error in errors} == {asyncio.CancelledError}
    await database.close()
    await until(no_thread_is_left)


async def no_thread_is_left() -> bool:
    """SQLite has a thread for each connection."""
    return not any(THREAD in thread.name for thread in threading.enumerate())


async def busy(database: Database) -> None:
    async with database.begin() as connection:
        await bump(connection)
        while True:
            await connection.fetch("SELECT 1 UNION SELECT 2")


async def test_writes_of_a_reader_are_rolled_back(database: Database) -> None:
    async with database.connect() as connection:
        await bump(connection)
    assert await written(database) == 0


async def test_a_reader_sees_one_snapshot(database: Database) -> None:
    """It does not see what others commit in the meantime; the next reader does."""
    async with database.connect() as connection:
        before = await list_all(connection)
        async with database.begin() as other:
            await create(other, "new", now_ms=1)
        assert await list_all(connection) == before
    async with database.connect() as connection:
        assert len(await list_all(connection)) == len(before) + 1


async def test_twenty_concurrent_transactions_wait_for_each_other(database: Database) -> None:
    """There are fewer connections. On SQLite a transaction that reads first is not refused
    either.
    """

    async def read_then_write() -> None:
        async with database.begin() as connection:
            await generation(connection)
            await bump(connection)

    await asyncio.gather(*(read_then_write() for _ in range(20)))
    assert await written(database) == 20


async def insert_key(connection: Connection, workspace: str) -> None:
    await connection.execute(
        "INSERT INTO signing_secrets VALUES ('s', $1, $2, 'k', 1, 'p', NULL)",
        workspace,
        b"canary-parameter",
    )


async def test_a_row_that_breaks_a_rule_is_an_integrity_error(database: Database) -> None:
    """SQLite checks foreign keys too. No message has the values of the row."""
    with pytest.raises(IntegrityError) as caught:
        async with database.begin() as connection:
            await insert_key(connection, "unknown")
    assert "canary-parameter" not in str(caught.value)


async def test_a_mistake_in_sql_is_no_outage(database: Database) -> None:
    """No caller waits for it to pass."""
    for statement in ("SELECT * FROM nowhere", "SELEC 1", "SELECT nothing"):
        with pytest.raises(StatementFailed):
            async with database.begin() as connection:
                await connection.fetch(statement)
    assert in_use(database) == 0


async def test_sqlite_commits_to_the_disk(sqlite_url: str) -> None:
    """Readers and the writer do not wait for each other, and a power cut loses nothing."""
    async with open_database(sqlite_url, Path()) as database, database.connect() as connection:
        for name, value in {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000}.items():
            assert await connection.fetch(f"PRAGMA {name}") == [(value,)]


async def test_postgresql_frees_the_locks_of_a_gateway_that_stopped(postgres_url: str) -> None:
    async with open_database(postgres_url, Path()) as database, database.connect() as connection:
        shown = await connection.fetch("SHOW idle_in_transaction_session_timeout")
        assert shown == [("1min",)]
