"""A migrated database. A copy on SQLite, an emptied one on PostgreSQL, because migrations take
longer.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.secret import Secret
from stores.sql.database import Database, open_database
from tests.support.administered import administered
from tests.support.chains import KEY
from tests.support.gateways import Relay, gateway
from tests.support.valkey import Valkey


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    shutil.copy(migrated_file, tmp_path / "relay.db")
    return f"sqlite:///{tmp_path}/relay.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    # Create what the session needs here, while no event loop runs.
    request.getfixturevalue("migrated_file" if request.param == "sqlite" else "migrated_postgres")
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest) -> str:
    """The URL of a database that has only what migrations put there."""
    url: str = request.getfixturevalue("sqlite_url" if dialect == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def admin(valkey: Valkey, database: Database, tmp_path: Path) -> AsyncIterator[Relay]:
    async with administered(valkey, database, tmp_path) as client:
        yield client


@pytest.fixture
async def reader(valkey: Valkey, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Relay]:
    """A client of a gateway without keys, where every caller may read."""
    keys = (Secret(KEY),)
    async with gateway(valkey.url, data_dir=tmp_path, audit_keys=keys) as client:
        yield client
