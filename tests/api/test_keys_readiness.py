"""What /ready says of the keys: what weighs most comes first."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.access.api_keys import pepper_id
from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer
from gateway.api.readiness import keys_check
from stores.redis.server.health import Check
from stores.sql import policies
from stores.sql.database import Database, open_database
from stores.sql.policies import PolicyRow
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


async def test_a_policy_without_keys_is_a_warning() -> None:
    """Without a key everybody is the same identity."""
    read = KeyCache(no_database, Sealer(()))
    await read.refresh()
    for policy, verdict in ((True, "warning"), (False, "ok")):
        asked = admission(read, lambda: [PEPPER])
        assert keys_check(asked, read, lambda: [PEPPER], policy=policy).verdict == verdict


async def test_a_policy_with_keys_is_no_warning(database: Database) -> None:
    read = key_cache(database)
    await read.refresh()
    asked = admission(read, lambda: [PEPPER])
    found = keys_check(asked, read, lambda: [PEPPER], policy=True)
    assert "policy without keys" not in found.detail


@pytest.mark.parametrize(
    ("workspace", "text", "verdict"),
    [("default", "default = 'approve'", "warning"), ("default", "", "ok"), ("w", "x", "ok")],
)
async def test_a_policy_of_the_open_workspace_without_keys_is_a_warning(
    file: Path, workspace: str, text: str, verdict: str
) -> None:
    """Without a key no caller is in another workspace. An empty text is no policy."""
    async with open_database(None, file.parent) as opened:
        if workspace != "default":
            await services(opened).workspaces.create(workspace, actor=CLI)
        async with opened.begin() as connection:
            await policies.add(connection, PolicyRow(workspace, 1, "sha256:x", text, "cli", 1))
        read = key_cache(opened)
        await read.refresh()
        found = check(read)
    assert (found.name, found.verdict) == ("keys", verdict)
    assert ("policy without keys" in found.detail) is (verdict == "warning")


async def no_database() -> None:
    return None
