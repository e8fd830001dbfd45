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
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hatchling.builders.wheel import WheelBuilder
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

import stores.sql.migrate
from stores.sql.database import HEAD, REVISIONS, Database, SchemaOutdated, open_database
from stores.sql.migrate import migrate
from stores.sql.tables import metadata
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


async def migrated(url: str, *, to: str = "head") -> list[str]:
    return await asyncio.to_thread(migrate, url, HERE, to=to)


async def test_the_migrated_schema_is_that_of_tables(database: Database) -> None:
    """Columns, types, keys and indexes, on both databases."""

    def differences(connection: Connection) -> Any:
        options = {"compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []


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
    by_type = {LargeBinary: b"\x00\xff", Boolean: True, BigInteger: 1 << 40, Integer: 7}
    row = {c.name: by_type.get(type(c.type), c.name[:8]) for c in table.columns}
    return row | ({"name": "acme"} if table.name == "workspaces" else {}) | {"workspace": "default"}


Columns = dict[Table, list[Column[Any]]]


def columns_of(connection: Connection) -> Columns:
    """The columns of `tables` that exist in the database."""
    seen = inspect(connection)
    return {
        table: [table.c[column["name"]] for column in seen.get_columns(table.name)]
        for table in metadata.sorted_tables
        if table.name in seen.get_table_names()
    }


def fill(connection: Connection, columns: Columns) -> None:
    for table, there in columns.items():
        row, names = example(table), {column.name for column in there}
        known = {name: value for name, value in row.items() if name in names}
        connection.execute(table.insert().values(known))


def content(connection: Connection, columns: Columns) -> dict[str, list[Any]]:
    return {
        table.name: list(connection.execute(select(*there))) for table, there in columns.items()
    }


@pytest.mark.parametrize("earlier", REVISIONS[:-1])
async def test_an_earlier_schema_keeps_its_rows(empty_url: str, earlier: str) -> None:
    await migrated(empty_url, to=earlier)
    async with open_database(empty_url, HERE) as database:
        async with database.begin() as connection:
            columns = await connection.run_sync(columns_of)
            await connection.run_sync(fill, columns)
            before = await connection.run_sync(content, columns)
        with pytest.raises(SchemaOutdated, match=rf"revision {earlier}.*{HEAD}.*`relay migrate`"):
            await database.check()
        assert await migrated(empty_url) == list(REVISIONS[REVISIONS.index(earlier) + 1 :])
        await database.check()
        async with database.connect() as connection:
            after = await connection.run_sync(content, columns)
    assert after == before
    assert all(before.values())


async def test_a_newer_database_is_not_changed(database: Database, database_url: str) -> None:
    """The gateway and `relay migrate` report that they are older than it."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
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
            await connection.execute(text("CREATE TABLE signing_secrets (id INTEGER)"))
        with pytest.raises(DBAPIError, match="already exists"):
            await migrated(empty_url)
        with pytest.raises(SchemaOutdated, match="revision 0001"):
            await database.check()
        async with database.begin() as connection:
            await connection.execute(text("DROP TABLE signing_secrets"))
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
            await connection.execute(text("UPDATE generation SET number = 1"))
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
    """It does not load the driver of the other database either."""
    loaded = "import sys, stores.sql.database; print(*sys.modules)"
    names = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert {"alembic", "asyncpg", "aiosqlite"}.isdisjoint(names.stdout.split())
