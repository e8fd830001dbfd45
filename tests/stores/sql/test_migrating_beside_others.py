"""`relay migrate` runs while gateways use PostgreSQL: none fails, and none waits for long."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from stores.sql.database import REVISIONS, Database, open_database
from stores.sql.drivers.errors import DatabaseUnavailable
from stores.sql.migrate import migrate
from tests.support.gateways import until
from tests.support.postgres import Postgres

HERE = Path()
BEFORE = "0003"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event = 'relation'"
)


@pytest.fixture
async def url(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a database with an earlier schema."""
    name = await postgres.create()
    await asyncio.to_thread(migrate, postgres.url(name), HERE, to=BEFORE)
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with open_database(url, HERE) as opened:
        yield opened


async def waits(database: Database) -> bool:
    """Whether a session waits for a lock on a table."""
    async with database.connect() as connection:
        return await connection.fetch(WAITING) != [(0,)]


async def test_a_change_of_keys_and_a_migration_do_not_deadlock(
    url: str, database: Database
) -> None:
    """Both lock the key first and the audit second."""
    async with database.begin() as changing:
        await changing.execute("UPDATE api_keys SET name = name")
        migrating = asyncio.create_task(asyncio.to_thread(migrate, url, HERE))
        await until(lambda: waits(database))
        await changing.execute("UPDATE audit SET entry = entry")
    assert await migrating == list(REVISIONS[REVISIONS.index(BEFORE) + 1 :])


async def test_a_migration_gives_up_behind_a_long_reader(url: str, database: Database) -> None:
    """Otherwise every gateway would wait behind it, as long as a dump takes. It can run again."""
    async with database.connect() as dumping:
        await dumping.fetch("SELECT * FROM api_keys")
        with pytest.raises(DatabaseUnavailable, match=r"the tables are locked.*try again"):
            await asyncio.to_thread(migrate, url, HERE, lock_patience=timedelta(milliseconds=50))
    assert len(await asyncio.to_thread(migrate, url, HERE)) == len(REVISIONS) - 3
