"""PgBouncer in transaction mode, where a connection may meet another server in each transaction."""

import asyncio
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from stores.sql.database import REVISIONS, open_database
from stores.sql.migrate import migrate
from stores.sql.workspaces import bump, generation
from tests.support.chains import append, day, rows
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import Postgres

HERE = Path()
PARAMETER = {"idle_in_transaction_session_timeout": "9s"}


async def test_everything_works_through_a_pooler(postgres: Postgres) -> None:
    """Migrations, concurrent transactions and appends, over two server connections."""
    name = await postgres.create()
    async with pgbouncer(postgres) as port:
        url = postgres.url(name).replace(f":{postgres.port}/", f":{port}/")
        assert await asyncio.to_thread(migrate, url, HERE) == list(REVISIONS)
        async with open_database(url, HERE) as first, open_database(url, HERE) as second:

            async def bumped(number: int) -> None:
                database = (first, second)[number % 2]
                await append(database, day(2, first=2 * number + 1))
                async with database.begin() as connection:
                    await bump(connection)

            await first.check()
            await asyncio.gather(*map(bumped, range(20)))
            async with second.connect() as connection:
                assert await generation(connection) == 20
            assert len(await rows(first)) == 40
    await postgres.drop(name)


async def test_a_named_statement_fails_through_a_pooler(
    postgres: Postgres, postgres_url: str
) -> None:
    """The control: what asyncpg does unless told otherwise, and a start-up parameter."""
    async with pgbouncer(postgres) as port:
        url = postgres_url.replace(f":{postgres.port}/", f":{port}/")
        with pytest.raises(asyncpg.PostgresError, match="unsupported startup parameter"):
            await asyncpg.connect(url, server_settings=PARAMETER)
        first, second = await asyncpg.connect(url), await asyncpg.connect(url)
        await first.fetch("SELECT $1::int", 1)
        async with second.transaction():
            await second.execute("SELECT 1")  # on the server that knows the statement
            with pytest.raises(asyncpg.PostgresError, match="does not exist"):
                await first.fetch("SELECT $1::int", 1)
        first.terminate()
        second.terminate()
