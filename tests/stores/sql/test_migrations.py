"""Migrations lead from an empty database, and from every earlier schema, to that of `tables`."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from hatchling.builders.wheel import WheelBuilder

import stores.sql.migrate
from stores.sql.database import HEAD, REVISIONS, Database, open_database
from stores.sql.drivers.connection import Connection
from stores.sql.drivers.errors import SchemaOutdated, StatementFailed
from stores.sql.migrate import migrate
from stores.sql.tables import TABLES, Table
from stores.sql.workspaces import Limits, generation, list_all
from tests.support.postgres import Postgres

HERE = Path()
ROOT = Path(stores.sql.migrate.__file__).parents[2]


@pytest.fixture
async def empty_url(dialect: str, postgres: Postgres, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database that was never migrated. On SQLite its folder does not exist either."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path}/data/relay.db"
    else:
        name = await postgres.create()
        yield postgres.url(name)
        await postgres.drop(name)


async def migrated(url: str, *, to: str = HEAD) -> list[str]:
    return await asyncio.to_thread(migrate, url, HERE, to=to)


# SQLite names these types differently.
TYPES = {"blob": "bytea", "character varying": "varchar"}


async def columns_of(connection: Connection, table: Table, dialect: str) -> dict[str, str]:
    """The columns that the database has, in their order, with their types; {} without a table."""
    query = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid"
    if dialect == "postgresql":
        query = (
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass($1::text) AND attnum > 0 ORDER BY attnum"
        )
    rows = await connection.fetch(query, table.name)
    types = {name: kind.lower() for name, kind in rows}
    for ours, theirs in TYPES.items():
        types = {name: kind.replace(ours, theirs) for name, kind in types.items()}
    return types


async def test_the_migrated_schema_is_that_of_tables(database: Database, dialect: str) -> None:
    """Columns, their order and their types, on both databases."""
    async with database.connect() as connection:
        for table in TABLES:
            assert await columns_of(connection, table, dialect) == table.columns
            assert [*table.columns] == [*await columns_of(connection, table, dialect)]


def test_the_known_revisions_are_those_of_the_migrations() -> None:
    """In the order in which they apply."""
    scripts = ScriptDirectory(str(ROOT / "stores/sql/migrations"))
    assert scripts.get_current_head() == HEAD
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


async def test_an_empty_database_needs_migrations(empty_url: str) -> None:
    async with open_database(empty_url, HERE) as database:
        with pytest.raises(SchemaOutdated, match=rf"no schema.*{HEAD}.*`relay migrate`"):
            await database.check()
        assert await migrated(empty_url) == list(REVISIONS)
        await database.check()
        assert await migrated(empty_url) == []


async def test_migrations_create_the_default_workspace(database: Database) -> None:
    async with database.connect() as connection:
        only = await list_all(connection)
        assert [(workspace.name, workspace.limits) for workspace in only] == [("default", Limits())]
        assert await generation(connection) == 0


def example(table: Table) -> dict[str, Any]:
    """A row with a value in every column."""
    by_type = {"bytea": b"\x00\xff", "boolean": True, "bigint": 1 << 40, "integer": 7}
    row = {name: by_type.get(kind, name[:8]) for name, kind in table.columns.items()}
    return row | ({"name": "acme"} if table.name == "workspaces" else {}) | {"workspace": "default"}


async def there(connection: Connection, dialect: str) -> list[Table]:
    """The tables of an earlier schema."""
    tables = []
    for table in TABLES:
        columns = await columns_of(connection, table, dialect)
        names = " ".join(f"{name} {table.columns[name]}" for name in columns)
        tables += [Table(table.name, names)] if columns else []
    return tables


async def content(connection: Connection, tables: list[Table]) -> dict[str, list[Any]]:
    return {
        table.name: await connection.fetch(f"SELECT {table.names} FROM {table.name}")
        for table in tables
    }


@pytest.mark.parametrize("earlier", REVISIONS[:-1])
async def test_an_earlier_schema_keeps_its_rows(empty_url: str, dialect: str, earlier: str) -> None:
    await migrated(empty_url, to=earlier)
    async with open_database(empty_url, HERE) as database:
        async with database.begin() as connection:
            tables = await there(connection, dialect)
            for table in tables:
                row = example(table)
                await connection.insert(table, [[row[name] for name in table.columns]])
            before = await content(connection, tables)
        with pytest.raises(SchemaOutdated, match=rf"revision {earlier}.*{HEAD}.*`relay migrate`"):
            await database.check()
        assert await migrated(empty_url) == list(REVISIONS[REVISIONS.index(earlier) + 1 :])
        await database.check()
        async with database.connect() as connection:
            after = await content(connection, tables)
    assert after == before
    assert all(before.values())


async def test_a_newer_database_is_not_changed(database: Database, database_url: str) -> None:
    """The gateway and `relay migrate` report that they are older than it."""
    async with database.begin() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaOutdated, match=r"9999.*the gateway is older than the database"):
        await database.check()
    with pytest.raises(SchemaOutdated, match=r"9999.*older"):
        await migrated(database_url)


async def test_four_concurrent_migrations_apply_each_revision_once(empty_url: str) -> None:
    """Like the replicas of a deployment. Those that find nothing to do succeed too."""
    applied = await asyncio.gather(*(migrated(empty_url) for _ in range(4)))
    assert sorted(applied) == [[], [], [], list(REVISIONS)]


async def test_a_failed_migration_changes_nothing(empty_url: str) -> None:
    """Earlier revisions of the same call are rolled back too. It can run again."""
    await migrated(empty_url, to="0001")
    async with open_database(empty_url, HERE) as database:
        async with database.begin() as connection:
            await connection.execute("CREATE TABLE signing_secrets (id INTEGER)")
        with pytest.raises(StatementFailed, match="already exists"):
            await migrated(empty_url)
        with pytest.raises(SchemaOutdated, match="revision 0001"):
            await database.check()
        async with database.begin() as connection:
            await connection.execute("DROP TABLE signing_secrets")
    assert await migrated(empty_url) == list(REVISIONS[1:])


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    """And the files that SQLite creates beside it, whatever the umask."""
    folder = tmp_path / "100% new?" / "data"
    mask = os.umask(0)
    try:
        await asyncio.to_thread(migrate, None, folder)
        async with open_database(None, folder) as database, database.begin() as connection:
            await connection.execute("UPDATE generation SET number = 1")
            modes = modes_in(folder)
    finally:
        os.umask(mask)
    assert modes == {"relay.db": 0o600, "relay.db-wal": 0o600, "relay.db-shm": 0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_check_creates_no_file(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database:
        with pytest.raises(SchemaOutdated, match="no schema"):
            await database.check()
    assert modes_in(tmp_path) == {}


async def test_migrations_do_not_configure_logging(tmp_path: Path) -> None:
    other = logging.getLogger("other")
    before = list(logging.root.handlers)
    await asyncio.to_thread(migrate, None, tmp_path)
    assert (logging.root.handlers, other.disabled) == (before, False)


def test_the_wheel_contains_every_migration() -> None:
    """`relay migrate` needs no file of the repository."""
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    scripts = {
        str(path.relative_to(ROOT)) for path in (ROOT / "stores").rglob("migrations/**/*.py")
    }
    assert len(scripts) == 1 + len(REVISIONS)
    assert scripts <= packed


def test_a_gateway_checks_without_alembic() -> None:
    """It does not load the driver of PostgreSQL before it has one either."""
    loaded = "import sys, stores.sql.database; print(*sys.modules)"
    names = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert {"alembic", "asyncpg", "sqlalchemy"}.isdisjoint(names.stdout.split())
