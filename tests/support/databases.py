"""A migrated database, on SQLite a copy, on PostgreSQL emptied: to migrate takes longer."""

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


@pytest.fixture
async def admin(valkey: Valkey, database: Database, tmp_path: Path) -> AsyncIterator[Relay]:
    async with administered(valkey, database, tmp_path) as client:
        yield client


@pytest.fixture
async def reader(valkey: Valkey, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Relay]:
    """Of a gateway for which no key was created: whoever asks, reads."""
    keys = (Secret(KEY),)
    async with gateway(valkey.url, data_dir=tmp_path, audit_keys=keys) as client:
        yield client
