"""Transactions on both databases: all or nothing, alone, and never translated into outages."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.database import Database, open_database, parsed_url
from stores.sql.tables import generation as generations
from stores.sql.workspaces import bump, create, generation, list_all
from tests.support.gateways import until


async def written(database: Database) -> int:
    """What is committed: how often `bump` has happened."""
    async with database.connect() as connection:
        return await generation(connection)


def in_use(database: Database) -> int:
    return int(database.engine.pool.checkedout())  # type: ignore[attr-defined]


async def test_what_a_block_wrote_is_there_when_it_ends(database: Database) -> None:
    """And not before."""
    async with database.begin() as connection:
        await bump(connection)
        assert await written(database) == 0
    assert await written(database) == 1


async def test_a_block_that_raises_has_not_happened(database: Database) -> None:
    """Whatever it raises leaves as it is; an OSError that is not the database's is no outage."""

    async def work() -> None:
        async with database.begin() as connection:
            await bump(connection)
            raise OSError("of another kind")

    with pytest.raises(OSError, match="of another kind"):
        await work()
    assert await written(database) == 0
    assert in_use(database) == 0


async def test_a_cancelled_block_has_not_happened_and_gives_its_connection_back(
    database: Database,
) -> None:
    """At whichever await it is, once or twice; who comes next finds no lock left."""
    errors: list[object] = []
    for turns in range(40):
        task = asyncio.create_task(busy(database))
        for _ in range(turns):
            await asyncio.sleep(0 if turns % 2 else 0.0003)
        task.cancel()
        # Again, while what the first began is being closed.
        for _ in range(turns % 5):
            await asyncio.sleep(0)
            task.cancel()
        # Kept, as a task that is done keeps it: what it refers to is not collected.
        errors += await asyncio.gather(task, return_exceptions=True)
        assert in_use(database) == 0
        async with asyncio.timeout(2), database.begin() as connection:
            assert await generation(connection) == turns
            await bump(connection)
    assert {type(error) for error in errors} == {asyncio.CancelledError}
    await database.engine.dispose()
    await until(no_thread_is_left)


async def no_thread_is_left() -> bool:
    """aiosqlite has one for each connection."""
    return not any("connection_worker" in thread.name for thread in threading.enumerate())


async def busy(database: Database) -> None:
    async with database.begin() as connection:
        await bump(connection)
        while True:
            await connection.execute(text("SELECT 1 UNION SELECT 2"))


async def test_what_a_reader_writes_is_undone(database: Database) -> None:
    async with database.connect() as connection:
        await bump(connection)
    assert await written(database) == 0


async def test_a_reader_sees_one_moment(database: Database) -> None:
    """What others commit while it reads is for the next reader."""
    async with database.connect() as connection:
        before = await list_all(connection)
        async with database.begin() as other:
            await create(other, "new", now_ms=1)
        assert await list_all(connection) == before
    async with database.connect() as connection:
        assert len(await list_all(connection)) == len(before) + 1


async def test_twenty_at_once_wait_for_each_other(database: Database) -> None:
    """More than there are connections; on SQLite a block that reads first is not refused either."""

    async def read_then_write() -> None:
        async with database.begin() as connection:
            await generation(connection)
            await connection.execute(update(generations).values(number=generations.c.number + 1))

    await asyncio.gather(*(read_then_write() for _ in range(20)))
    assert await written(database) == 20


async def insert_key(connection: AsyncConnection, workspace: str) -> None:
    await connection.execute(
        text("INSERT INTO signing_secrets VALUES ('s', :workspace, :sealed, 'k', 1, 'p', NULL)"),
        {"workspace": workspace, "sealed": b"canary-parameter"},
    )


async def test_a_row_that_breaks_a_rule_is_an_integrity_error(database: Database) -> None:
    """Foreign keys count on SQLite too; what the row held is in no message."""
    with pytest.raises(IntegrityError) as caught:
        async with database.begin() as connection:
            await insert_key(connection, "unknown")
    assert "canary-parameter" not in str(caught.value)


async def test_a_mistake_in_sql_is_no_outage(database: Database) -> None:
    """It stays what the driver says, so that nobody waits for it to pass."""
    for statement in ("SELECT * FROM nowhere", "SELEC 1", "SELECT nothing"):
        with pytest.raises(DBAPIError):
            async with database.begin() as connection:
                await connection.execute(text(statement))
    assert in_use(database) == 0


async def test_sqlite_answers_when_it_is_written(sqlite_url: str) -> None:
    """Readers and the writer do not wait for each other, and a power cut loses nothing."""
    async with open_database(sqlite_url, Path()) as database, database.connect() as connection:
        for name, value in {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000}.items():
            assert (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() == value


async def test_postgresql_frees_the_locks_of_a_gateway_that_stopped(postgres_url: str) -> None:
    async with open_database(postgres_url, Path()) as database, database.connect() as connection:
        shown = await connection.execute(text("SHOW idle_in_transaction_session_timeout"))
        assert shown.scalar() == "1min"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, "sqlite+aiosqlite:////data/relay.db"),
        ("sqlite:////other/file.db", "sqlite+aiosqlite:////other/file.db"),
        ("postgresql://u:p@h:1/n", "postgresql+asyncpg://u:p@h:1/n"),
        (
            "postgres://u:p%40ss@h/n?sslmode=require",
            "postgresql+asyncpg://u:p%40ss@h/n?sslmode=require",
        ),
        ("postgresql+asyncpg://h/n", "postgresql+asyncpg://h/n"),
    ],
)
def test_a_url_is_read_as_users_write_it(given: str | None, taken: str) -> None:
    parsed = parsed_url(given, Path("/data"))
    assert parsed.render_as_string(hide_password=False) == taken


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pg-canary",
        "mysql://u:pg-canary@h/n",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://u:pg-canary@h:port/n",
        "postgresql+psycopg://u:pg-canary@h/n",
    ],
)
def test_another_url_is_refused_without_its_password(url: str) -> None:
    """A database in memory would be another one for every connection."""
    with pytest.raises(ValueError, match=r"it (is not a URL|must begin with)") as caught:
        parsed_url(url, Path("/data"))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
