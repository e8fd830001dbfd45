"""What /ready says of the keys: what weighs most comes first."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.access.api_keys import pepper_id
from gateway.access.key_cache import KeyCache
from gateway.readiness import keys_check
from stores.redis.health import Check
from stores.sql.database import Database, open_database
from tests.access.test_key_cache_outages import take
from tests.support.admissions import admission
from tests.support.services import CLI, PEPPER, key_cache, services


@pytest.fixture
async def file(migrated_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_file, tmp_path / "relay.db"))


@pytest.fixture
async def database(file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """With two keys, one of them of another pepper."""
    async with open_database(None, tmp_path) as opened:
        await services(opened).key()
        other = (await services(opened).key()).key
        async with opened.begin() as connection:
            changed = "UPDATE api_keys SET peppered_with = $1 WHERE id = $2"
            await connection.execute(changed, pepper_id(b"q" * 32), other.id)
        yield opened


def check(read: KeyCache) -> Check:
    return keys_check(admission(read, lambda: [PEPPER]), read, lambda: [PEPPER])


async def test_an_unavailable_database_is_reported_before_a_pepper(
    database: Database, file: Path
) -> None:
    read = key_cache(database)
    await read.refresh()
    assert check(read).verdict == "ok"
    assert "unknown pepper" in check(read).detail
    await take(database, file)
    await read.try_refresh()
    detail = "the database does not answer: keys are as last read"
    assert check(read) == Check("keys", "warning", detail)


async def test_sealed_secrets_are_reported_before_a_pepper(database: Database) -> None:
    """Without the name of their workspace."""
    await services(database).secrets.create_secret("default", actor=CLI)
    read = key_cache(database, keys=(b"o" * 32,))
    await read.refresh()
    detail = "RELAY_ENCRYPTION_KEY unseals no signing secret of 1 workspaces"
    assert check(read) == Check("keys", "warning", detail)


async def test_an_old_schema_is_reported_with_its_remedy(database: Database) -> None:
    read = key_cache(database)
    async with database.begin() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '0001'")
    await read.try_refresh()
    assert check(read).verdict == "failed"
    assert "relay migrate" in check(read).detail
