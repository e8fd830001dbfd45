"""A PostgreSQL that refuses writes or lacks a right is named in one sentence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stores.sql.database import Database, open_database
from stores.sql.drivers.errors import DatabaseUnavailable
from stores.sql.migrate import migrate
from stores.sql.workspaces import bump, generation
from tests.support.postgres import Postgres

HERE = Path()


@asynccontextmanager
async def demoted(postgres: Postgres, database: Database, name: str) -> AsyncIterator[None]:
    """Every connection is read-only, as on a standby, also those that exist already."""
    await postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    for connection in database._idle:
        await connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    yield
    await postgres.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")


async def opened(database: Database, count: int) -> None:
    """Open this many connections, which stay idle."""

    async def read() -> None:
        async with database.connect() as connection:
            await connection.fetch("SELECT pg_sleep(0.05)")

    await asyncio.gather(*(read() for _ in range(count)))
    assert len(database._idle) == count


async def test_a_demoted_server_is_left(postgres: Postgres, postgres_url: str) -> None:
    """Writes are refused with a sentence, reads go on, and no connection stays: the name may lead
    elsewhere by now. Once a server takes writes again, the next transaction does.
    """
    name = postgres_url.rpartition("/")[2]
    async with open_database(postgres_url, HERE) as database:
        await opened(database, 3)
        async with demoted(postgres, database, name):
            with pytest.raises(DatabaseUnavailable, match="refuses writes: it is a standby"):
                async with database.begin() as connection:
                    await bump(connection)
            assert database._idle == []
            async with database.connect() as connection:
                assert await generation(connection) == 0
            await database.close()
        async with database.begin() as connection:
            await bump(connection)
            assert await generation(connection) == 1


async def test_an_ordinary_error_leaves_no_connection(postgres_url: str) -> None:
    """The control: only a database that is unavailable does."""
    async with open_database(postgres_url, HERE) as database:
        await opened(database, 3)
        with pytest.raises(ZeroDivisionError):
            async with database.begin():
                raise ZeroDivisionError
        assert len(database._idle) == 3


async def test_of_several_hosts_one_that_takes_writes_is_chosen(
    postgres: Postgres, postgres_url: str
) -> None:
    """As libpq does with target_session_attrs=read-write; a host that is away is passed over."""
    url = postgres_url.replace("127.0.0.1:", "127.0.0.1:1,127.0.0.1:")
    name = postgres_url.rpartition("/")[2]
    async with open_database(url, HERE) as database:
        await database.check()
        await database.close()
        async with demoted(postgres, database, name):
            with pytest.raises(DatabaseUnavailable):
                await database.check()
        await database.check()


async def test_a_missing_right_is_named(postgres: Postgres) -> None:
    """PostgreSQL 15 and newer give no right to create tables in the schema public."""
    name = await postgres.create()
    user = f"{name}_user"
    await postgres.run(f"CREATE USER {user}")
    url = postgres.url(name).replace("//relay:", f"//{user}:")
    with pytest.raises(DatabaseUnavailable, match="lacks a right") as caught:
        await asyncio.to_thread(migrate, url, HERE)
    assert "schema public" in str(caught.value)
    await postgres.drop(name)
    await postgres.run(f"DROP USER {user}")
