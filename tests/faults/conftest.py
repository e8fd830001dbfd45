"""An installation of several gateways with one store and one database, whose processes may die."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Site
from tests.support.forks import Forks, forking
from tests.support.office import Office, working
from tests.support.valkey import Valkey


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with forking() as opened:
        yield opened


@pytest.fixture
def site(valkey: Valkey, migrated_file: Path, tmp_path: Path) -> Site:
    """An installation on SQLite."""
    shutil.copy(migrated_file, tmp_path / "relay.db")
    return Site(valkey, f"sqlite:///{tmp_path}/relay.db", tmp_path)


@pytest.fixture
def shared_site(migrated_postgres: str, postgres_url: str, valkey: Valkey, tmp_path: Path) -> Site:
    """An installation on PostgreSQL."""
    return Site(valkey, postgres_url, tmp_path)


@pytest.fixture(params=["site", "shared_site"], ids=["sqlite", "postgresql"])
def each_site(request: pytest.FixtureRequest) -> Site:
    """An installation on each database. Not async: migrations run a loop of their own."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def office(each_site: Site, forks: Forks) -> AsyncIterator[Office]:
    """Two gateways that ask the same policy, on each database."""
    async with working(each_site, forks) as opened:
        yield opened
