"""An installation of several gateways: one store, one database, and processes that may die."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.fleet import Site
from tests.faults.forks import Forks, forking
from tests.postgres import Postgres
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with forking() as opened:
        yield opened


@pytest.fixture
def site(valkey: Valkey, migrated_file: Path, tmp_path: Path) -> Site:
    """On SQLite."""
    shutil.copy(migrated_file, tmp_path / "relay.db")
    return Site(valkey, f"sqlite:///{tmp_path}/relay.db", tmp_path)


@pytest.fixture(scope="session")
def fleet_postgres(postgres: Postgres, migrated_postgres: str) -> tuple[int, str]:
    return postgres.port, migrated_postgres


@pytest.fixture
async def shared_site(
    fleet_postgres: tuple[int, str], postgres_url: str, valkey: Valkey, tmp_path: Path
) -> AsyncIterator[Site]:
    """On PostgreSQL."""
    yield Site(valkey, postgres_url, tmp_path)
    await asyncio.sleep(0)
