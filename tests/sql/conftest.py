"""A migrated database, on SQLite a copy, on PostgreSQL emptied: to migrate takes longer."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from stores.sql.database import HEAD, Database, open_database
from stores.sql.migrate import migrate
from stores.sql.tables import metadata
from tests.postgres import Postgres, postgres_server

# What a test before has left, a connection included, is gone; what migrations put there is back.
EMPTY = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
{"".join(f"DELETE FROM {table.name};" for table in reversed(metadata.sorted_tables))}
INSERT INTO workspaces (name, created_at) VALUES ('default', 1);
INSERT INTO generation (id, number) VALUES (1, 0);
UPDATE alembic_version SET version_num = '{HEAD}';
"""


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The same for every process of this run."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def postgres(shared_folder: Path) -> Iterator[Postgres]:
    with postgres_server(shared_folder) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of this process's own database. Not async: migrations run a loop of their own."""
    url = postgres.url(asyncio.run(postgres.create()))
    migrate(url, tmp_path_factory.getbasetemp())
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    migrate(None, folder)
    return folder / "relay.db"


@pytest.fixture
async def postgres_url(migrated_postgres: str) -> str:
    """Emptied: half of what it takes to create and drop a database."""
    connection = await asyncpg.connect(migrated_postgres)
    await connection.execute(EMPTY)
    await connection.close()
    return migrated_postgres


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    shutil.copy(migrated_file, tmp_path / "relay.db")
    return f"sqlite:///{tmp_path}/relay.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    # What it needs of the whole session is made here, as no loop runs yet.
    request.getfixturevalue("migrated_file" if request.param == "sqlite" else "migrated_postgres")
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest) -> str:
    """Of a database with nothing in it but what migrations put there."""
    url: str = request.getfixturevalue("sqlite_url" if dialect == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(database_url, tmp_path) as opened:
        yield opened
