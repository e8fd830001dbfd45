"""What admission looks up, on both databases, and how soon it is up to date."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from time import time

import pytest

from gateway.access.api_keys import matches
from gateway.access.key_cache import KeyCache, Paces, refreshed
from gateway.access.roles import granted
from gateway.access.snapshot import CachedKey
from gateway.admin.static_credentials import StaticRequest
from gateway.config.secret import Secret
from gateway.signatures import SecretsSealed
from stores.sql.api_keys import ApiKey, list_all
from stores.sql.database import Database, open_database
from stores.sql.workspaces import Limits
from tests.support.gateways import until
from tests.support.services import CLI, ENCRYPTION_KEY, PEPPER, key_cache, services

AT_ONCE = Paces(refresh=timedelta(), reload=timedelta(30), write_used=timedelta(60))
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = time()

    def __call__(self) -> float:
        return self.now


async def keys_of(database: Database) -> dict[str, ApiKey]:
    async with database.connect() as connection:
        return {key.name: key for key in await list_all(connection, "default")}


async def test_a_cached_key_has_its_scopes(database: Database) -> None:
    made = await services(database).key(role="developer", live=False)
    read = key_cache(database)
    await read.refresh()

    known = read.find(made.key.id)
    assert known == CachedKey(
        id=made.key.id,
        workspace="default",
        live=False,
        role="developer",
        scopes=granted("developer", None, live=False),
        digest=made.key.digest,
        expires_at_ms=made.key.expires_at,
        name="CI",
        subject=made.key.id,
        makers=(made.key.created_by,),
    )
    assert matches([PEPPER], made.secret, known.digest)
    assert made.secret not in repr((known, made, vars(read)))


async def test_scopes_narrow_the_role_of_a_cached_key(database: Database) -> None:
    made = await services(database).key(scopes=["runs:read"])
    read = key_cache(database)
    await read.refresh()
    known = read.find(made.key.id)
    assert known
    assert known.scopes == {"runs:read"}


async def test_no_key_is_known_before_the_first_read(database: Database) -> None:
    """A request without a key is refused too: it is not known yet whether keys exist."""
    made = await services(database).key()
    unread = key_cache(database)
    assert (unread.find(made.key.id), unread.any_made, unread.ready) == (None, True, False)
    assert (unread.state(), unread.as_of) == ("not_read", None)


async def test_it_knows_whether_a_key_was_ever_made(database: Database) -> None:
    """One that was revoked counts."""
    read = key_cache(database)
    await read.refresh()
    assert (read.any_made, read.ready, read.state()) == (False, True, "read")
    made = await services(database).key()
    await services(database).keys.revoke_key("default", made.key.id, actor=CLI)
    await read.refresh()
    assert (read.any_made, read.find(made.key.id)) == (True, None)


async def test_a_key_is_over_at_the_moment_it_expires(database: Database) -> None:
    """No reading is needed for it."""
    made = await services(database).key(expires_in=timedelta(hours=1))
    clock = Clock()
    read = key_cache(database, clock=clock)
    await read.refresh()
    clock.now = (made.key.expires_at - 1) / 1000
    assert read.find(made.key.id)
    clock.now = made.key.expires_at / 1000
    assert read.find(made.key.id) is None


async def test_changes_arrive_by_themselves(database: Database) -> None:
    """What is made, and what is revoked."""
    made, watching = services(database), key_cache(database, paces=AT_ONCE)
    async with refreshed(watching):
        key = (await made.key()).key
        async with asyncio.timeout(5):
            while watching.find(key.id) is None:
                await asyncio.sleep(0)
        await made.keys.revoke_key("default", key.id, actor=CLI)
        async with asyncio.timeout(5):
            while watching.find(key.id):
                await asyncio.sleep(0)


def test_it_looks_every_two_seconds() -> None:
    """A revocation is to arrive within 5 s; a look takes a fraction of one."""
    assert Paces().refresh == timedelta(seconds=2)
    assert Paces().reload == timedelta(seconds=30)
    assert Paces().write_used == timedelta(minutes=1)


@pytest.mark.parametrize(("reload", "found"), [(timedelta(30), True), (timedelta(), False)])
async def test_what_was_not_counted_is_found_by_reading_all(
    database: Database, reload: timedelta, found: bool
) -> None:
    """As long as the number stands nothing is read again, but for every 30 s."""
    made = await services(database).key()
    read = key_cache(database, paces=Paces(reload=reload))
    await read.refresh()
    async with database.begin() as connection:
        await connection.execute("DELETE FROM api_keys")
    await read.refresh()
    assert (read.find(made.key.id) is not None) is found


async def test_limits_are_those_of_the_workspace(database: Database) -> None:
    made, read = services(database), key_cache(database)
    await made.workspaces.create("team", actor=CLI)
    await made.workspaces.limit("team", {"execute": 5, "runs_at_once": 2}, actor=CLI)
    await read.refresh()
    assert read.limits("team") == Limits(execute=5, runs_at_once=2)
    assert read.limits("default") == read.limits("unknown") == Limits()
    assert set(read.workspaces()) == {"default", "team"}


async def test_secrets_sign_together_until_the_older_retires(database: Database) -> None:
    clock = Clock()
    made, read = services(database, clock=clock), key_cache(database, clock=clock)
    await read.refresh()
    assert read.secrets("default") == ()
    old, new = [(await made.secrets.create_secret("default", actor=CLI)).secret for _ in "ab"]
    await read.refresh()
    both = read.secrets("default")
    assert len(both) == len({old, new}) == 2
    clock.now += 24 * HOUR - 1
    assert read.secrets("default") == both
    clock.now += 1
    assert read.secrets("default") == both[:1]
    assert repr(both[0]) not in repr(vars(read))


async def test_a_secret_that_cannot_be_unsealed_is_not_replaced_by_another(
    database: Database,
) -> None:
    """The gateway says so and serves all others; keys are read as ever."""
    made = services(database)
    key = (await made.key()).key
    await made.secrets.create_secret("default", actor=CLI)
    read = key_cache(database, keys=(b"o" * 32,))
    await read.refresh()
    with pytest.raises(SecretsSealed):
        read.secrets("default")
    assert (read.state(), read.ready) == ("sealed", True)
    assert "RELAY_ENCRYPTION_KEY" in read.detail
    assert read.find(key.id)
    assert read.secrets("team") == ()


async def test_a_connection_that_cannot_be_unsealed_is_reported(database: Database) -> None:
    """It is listed as ever. With its key among ours it is not."""
    wanted = StaticRequest("crm", "bearer", Secret(b"s"), ["crm.example"])
    await services(database).connections.create_static("default", wanted, actor=CLI)
    read = key_cache(database, keys=(b"o" * 32,))
    await read.refresh()
    assert (read.state(), read.ready) == ("sealed", True)
    assert "RELAY_ENCRYPTION_KEY does not unseal the secrets of 1 connections" in read.detail
    assert [row.label for row in read.connections("default")] == ["crm"]
    assert read.connections("team") == ()
    both = key_cache(database, keys=(b"o" * 32, ENCRYPTION_KEY))
    await both.refresh()
    assert both.state() == "read"


async def test_a_secret_of_another_workspace_is_not_unsealed(database: Database) -> None:
    """A database writer cannot sign with the secret of another workspace."""
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    await made.secrets.create_secret("default", actor=CLI)
    async with database.begin() as connection:
        await connection.execute("UPDATE signing_secrets SET workspace = 'team'")
    read = key_cache(database)
    await read.refresh()
    with pytest.raises(SecretsSealed):
        read.secrets("team")


async def test_when_a_key_was_used_is_written_in_the_end(database: Database) -> None:
    """Of several uses the last, and not before it is due."""
    made, clock = await services(database).key(), Clock()
    read = key_cache(database, paces=AT_ONCE, clock=clock)
    async with refreshed(read):
        read.used(made.key.id)
        clock.now += 5
        read.used(made.key.id)
        seen = read.as_of
        await until(lambda: _looked_since(read, seen))
        assert (await keys_of(database))["CI"].last_used_at is None
    assert (await keys_of(database))["CI"].last_used_at == int(clock.now * 1000)


async def test_a_slow_write_does_not_delay_a_refresh(migrated_file: Path, tmp_path: Path) -> None:
    """Another writer has SQLite's only lock: revocations arrive all the same."""
    shutil.copy(migrated_file, tmp_path / "relay.db")
    async with open_database(None, tmp_path) as database:
        made = await services(database).key()
        read = key_cache(database, paces=Paces(refresh=timedelta(), write_used=timedelta()))
        async with refreshed(read), database.begin():
            read.used(made.key.id)
            for _ in range(5):
                seen = read.as_of
                await until(lambda seen=seen: _looked_since(read, seen), 2)


async def _looked_since(read: KeyCache, seen: float | None) -> bool:
    return read.as_of != seen


async def test_when_a_key_was_used_is_written_once_a_minute(database: Database) -> None:
    made = await services(database).key()
    read = key_cache(database, paces=AT_ONCE._replace(write_used=timedelta()))
    async with refreshed(read):
        read.used(made.key.id)

        async def written() -> bool:
            return (await keys_of(database))["CI"].last_used_at is not None

        await until(written)
