"""A roster whose database is not there, not yet or not any more. SQLite stands for both."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import time

import pytest

from gateway.access.key_cache import PACES, KeyCache, refreshed
from gateway.access.sealing import Sealer
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from stores.sql.database import (
    HEAD,
    Database,
    open_database,
)
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated
from tests.support.gateways import until
from tests.support.services import CLI, key_cache, services

EAGER = PACES._replace(refresh=timedelta(milliseconds=1))


@pytest.fixture
async def file(migrated_file: str, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_file, tmp_path / "relay.db"))


@pytest.fixture
async def database(file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(None, tmp_path) as opened:
        yield opened


async def take(database: Database, file: Path) -> None:
    """Away with it: what is written is in the file when no connection is left."""
    await database.close()
    file.rename(file.with_suffix(".away"))  # noqa: ASYNC240


def bring_back(file: Path) -> None:
    file.with_suffix(".away").rename(file)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "relay.keys"]


def of_settings(folder: Path, **more: object) -> KeyCache:
    settings = Settings(data_dir=folder)
    return KeyCache(LazyDatabase(settings).existing, Sealer(()), **more)  # type: ignore[arg-type]


async def test_without_a_database_no_key_was_ever_made(tmp_path: Path) -> None:
    read = of_settings(tmp_path)
    await read.refresh()
    assert (read.state(), read.ready, read.any_made) == ("empty", True, False)
    assert read.workspaces() == set()
    assert not os.listdir(tmp_path)  # noqa: PTH208


async def test_a_database_that_is_made_later_is_found(migrated_file: str, tmp_path: Path) -> None:
    """So a key that is made while a gateway runs without any is asked for soon."""
    read = of_settings(tmp_path, paces=EAGER)
    async with refreshed(read):
        assert read.any_made is False
        shutil.copy(migrated_file, tmp_path / "other.db")
        async with open_database(f"sqlite:///{tmp_path}/other.db", tmp_path) as database:
            made = await services(database).key()
        (tmp_path / "other.db").rename(tmp_path / "relay.db")

        async def ok() -> bool:
            return read.state() == "read"

        await until(ok)
        assert read.any_made
        assert read.find(made.key.id)


async def test_an_unreadable_database_admits_no_request(tmp_path: Path) -> None:
    """From the moment that there is a file: the first command that makes a key is at work on it."""
    read = of_settings(tmp_path)
    await read.refresh()
    (tmp_path / "relay.db").touch()
    with pytest.raises(SchemaOutdated):
        await read.refresh()
    assert (read.state(), read.any_made) == ("outdated", True)
    await read.close()


def test_what_serving_does_not_need_is_not_loaded(tmp_path: Path) -> None:
    """Whatever commands there are beside `serve`."""
    lines = f"""
import asyncio, sys
from pathlib import Path
from gateway.access.key_cache import KeyCache, refreshed
from gateway.access.sealing import Sealer
from gateway.cli import main, serve
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
settings = Settings(data_dir=Path({str(tmp_path)!r}))
key_cache = KeyCache(LazyDatabase(settings).existing, Sealer((b"e" * 32,)))
asyncio.run(key_cache.refresh())
heavy = "sqlalchemy asyncpg alembic cryptography.hazmat rich httpx2".split()
loaded = set(heavy) & set(sys.modules)
print(key_cache.state(), *loaded)
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout == "empty\n"


async def test_an_older_schema_is_named_with_the_remedy(database: Database) -> None:
    """It is not ready, admits no request without a key, and goes on after the upgrade."""
    await at_revision(database, "0001")
    read = key_cache(database)
    with pytest.raises(SchemaOutdated):
        await read.refresh()
    assert (read.state(), read.ready, read.any_made) == ("outdated", False, True)
    assert "relay migrate" in read.detail
    await at_revision(database, HEAD)
    await read.refresh()
    assert (read.state(), read.ready, read.any_made) == ("read", True, False)


async def test_a_schema_upgrade_does_not_stop_a_gateway(database: Database) -> None:
    """Gateways are replaced after the schema, one by one."""
    read = key_cache(database)
    await read.refresh()
    await at_revision(database, "9999")
    await read.refresh()
    assert (read.state(), read.ready) == ("read", True)


async def at_revision(database: Database, revision: str) -> None:
    async with database.begin() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = $1", revision)


async def test_a_database_that_was_never_read_admits_no_request(tmp_path: Path) -> None:
    (tmp_path / "relay.db").mkdir()  # there, and cannot be opened
    read = of_settings(tmp_path)
    with pytest.raises(DatabaseUnavailable):
        await read.refresh()
    assert (read.state(), read.ready, read.any_made) == ("away", False, True)
    assert (read.as_of, read.find("abcdefgh")) == (None, None)
    await read.close()
    await until(no_driver_is_left)


async def no_driver_is_left() -> bool:
    """Each connection has a thread."""
    return not any("relay-sqlite" in thread.name for thread in threading.enumerate())


async def test_what_was_known_stays_while_the_database_is_away(
    database: Database, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """But for what expires. The log tells of it once, and once that it is over."""
    caplog.set_level(logging.INFO, "relay.keys")
    now = time()
    made = await services(database).key(expires_in=timedelta(hours=1))
    read = key_cache(database, clock=lambda: now)
    await read.refresh()
    await take(database, file)
    for _ in range(3):
        now += 1
        await read.try_refresh()
    assert (read.state(), read.ready, read.as_of) == ("stale", True, now - 3)
    assert read.find(made.key.id)
    now += 3600
    assert read.find(made.key.id) is None
    bring_back(file)
    await read.try_refresh()
    assert (read.state(), read.as_of) == ("read", now)
    assert said(caplog) == ["keys.read", "keys.stale", "keys.read"]


async def test_a_revocation_arrives_when_the_database_is_back(
    database: Database, file: Path
) -> None:
    made, read = await services(database).key(), key_cache(database)
    await read.refresh()
    await services(database).keys.revoke_key("default", made.key.id, actor=CLI)
    await take(database, file)
    await read.try_refresh()
    assert read.find(made.key.id)
    bring_back(file)
    await read.try_refresh()
    assert read.find(made.key.id) is None


async def test_watching_survives_an_unforeseen_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that is gone is none of the errors of a database that is away. Only its kind is
    said: what it says may hold anything.
    """
    caplog.set_level(logging.INFO, "relay.keys")
    read = key_cache(database, paces=EAGER)
    async with refreshed(read):
        async with database.begin() as connection:
            await connection.execute("DROP TABLE generation")

        async def away() -> bool:
            return read.state() == "away"

        await until(away)
        assert read.any_made  # as far as anybody can know
        assert read.detail == "StatementFailed"
        async with database.begin() as connection:
            await connection.execute("CREATE TABLE generation (id INTEGER, number BIGINT)")
            await connection.execute("INSERT INTO generation VALUES (1, 99)")

        async def fresh() -> bool:
            return read.state() == "read"

        await until(fresh)
    assert said(caplog) == ["keys.read", "keys.away", "keys.read"]


async def test_when_a_key_was_used_is_written_when_the_database_is_back(
    database: Database, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, read = await services(database).key(), key_cache(database, clock=lambda: 1000.0)
    await read.refresh()
    read.used(made.key.id)
    await take(database, file)
    await read.write_used()
    assert said(caplog) == ["keys.last_used_not_written"]
    bring_back(file)
    await read.write_used()
    (key,) = await services(database).keys.list_keys("default")
    assert key.last_used_at == 1_000_000
