"""A key is found in its own workspace only, and the last admin of a workspace stays."""

import asyncio
from pathlib import Path

import pytest

from stores.sql import api_keys, workspaces
from stores.sql.api_keys import ApiKey, LastAdmin, NoKey, Revoked
from stores.sql.database import Database, open_database
from stores.sql.drivers.errors import IntegrityError

NOW = 1_000_000
LATER = NOW + 1000

KEY = ApiKey(
    id="aaaaaaaa",
    workspace="default",
    name="ci",
    live=True,
    role="operator",
    scopes=None,
    digest=bytes(range(32)),
    created_at=NOW,
    created_by="relay",
    expires_at=LATER,
)
ADMIN = KEY._replace(id="adminaaa", role="admin")


@pytest.fixture
async def keys(database: Database) -> "Keys":
    """The keys of a database with a second workspace, `other`."""
    async with database.begin() as connection:
        await workspaces.create(connection, "other", now_ms=NOW)
    return Keys(database)


class Keys:
    """Run each call in its own transaction, as each request does."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def insert(self, *keys: ApiKey) -> None:
        async with self.database.begin() as connection:
            for key in keys:
                await api_keys.insert(connection, key)

    async def clear(self) -> None:
        async with self.database.begin() as connection:
            await connection.execute("DELETE FROM api_keys")

    async def active(self, now_ms: int = NOW) -> list[str]:
        async with self.database.connect() as connection:
            return [key.id for key in await api_keys.active(connection, now_ms)]

    async def find(self, key: ApiKey) -> ApiKey | None:
        async with self.database.connect() as connection:
            return await api_keys.find(connection, key.workspace, key.id)

    async def revoke(self, key: ApiKey, *, actor: str = "boss") -> Revoked | LastAdmin | NoKey:
        async with self.database.begin() as connection:
            return await api_keys.revoke(connection, key.workspace, key.id, actor=actor, now_ms=NOW)

    async def retire(self, key: ApiKey, expires_at: int, replaced_by: str = "bbbbbbbb") -> bool:
        async with self.database.begin() as connection:
            return await api_keys.retire(
                connection, key.workspace, key.id, expires_at=expires_at, replaced_by=replaced_by
            )

    async def generation(self) -> int:
        async with self.database.connect() as connection:
            return await workspaces.generation(connection)


async def test_a_key_is_read_as_it_was_written(keys: Keys) -> None:
    """An empty set of scopes is not the same as all scopes."""
    for number, scopes in enumerate([None, (), ("runs:read",), ("audit:read", "runs:read")]):
        key = KEY._replace(id=f"key-{number}", scopes=scopes)
        await keys.insert(key)
        assert await keys.find(key) == key


async def test_a_key_of_another_workspace_is_unknown(keys: Keys) -> None:
    await keys.insert(KEY)
    foreign = KEY._replace(workspace="other")
    assert await keys.find(foreign) is None
    assert await keys.revoke(foreign) == NoKey()
    assert not await keys.retire(foreign, NOW)
    assert await keys.find(KEY) == KEY


async def test_a_key_needs_a_new_id_and_a_workspace(keys: Keys) -> None:
    await keys.insert(KEY)
    for wrong in (KEY._replace(workspace="other"), KEY._replace(id="b", workspace="unknown")):
        with pytest.raises(IntegrityError):
            await keys.insert(wrong)


async def test_active_keys_are_neither_revoked_nor_expired(keys: Keys) -> None:
    """Of all workspaces. A key expires at its exact millisecond."""
    ends = KEY._replace(id="ends", expires_at=NOW)
    lasts = KEY._replace(id="lasts", expires_at=NOW + 1)
    revoked = KEY._replace(id="revoked", revoked_at=NOW, revoked_by="boss")
    foreign = KEY._replace(id="foreign", workspace="other")
    await keys.insert(foreign, lasts, ends, KEY, revoked)
    assert await keys.active() == ["aaaaaaaa", "lasts", "foreign"]


async def test_ended_keys_are_revoked_or_expired(keys: Keys) -> None:
    """With their workspaces. Keys that ended long ago are left out, and beyond the limit the older
    ones.
    """
    expired = KEY._replace(id="expired", expires_at=NOW - 1, workspace="other")
    revoked = KEY._replace(id="revoked", revoked_at=NOW, revoked_by="boss")
    long_ago = expired._replace(id="long-ago", expires_at=NOW - 11)
    forgotten = revoked._replace(id="gone", revoked_at=NOW - 11)
    await keys.insert(KEY, expired, revoked, long_ago, forgotten)
    async with keys.database.connect() as connection:
        ended = await api_keys.ended(connection, NOW, since_ms=NOW - 10)
        last = await api_keys.ended(connection, NOW, since_ms=NOW - 10, limit=1)
    assert ended == {"expired": "other", "revoked": "default"}
    assert last == {"revoked": "default"}


async def test_a_workspace_lists_all_its_keys_newest_first(keys: Keys) -> None:
    """Keys of one millisecond are always in the same order."""
    made = [KEY._replace(id=name, created_at=at) for name, at in (("a", 1), ("c", 2), ("b", 2))]
    await keys.insert(*made, KEY._replace(workspace="other"))
    await keys.revoke(made[0])
    async with keys.database.connect() as connection:
        found = await api_keys.list_all(connection, "default")
    assert [key.id for key in found] == ["c", "b", "a"]


async def test_a_revoked_key_counts_as_existing(keys: Keys) -> None:
    async def any_exist() -> bool:
        async with keys.database.connect() as connection:
            return await api_keys.any_exist(connection)

    assert not await any_exist()
    await keys.insert(KEY)
    await keys.revoke(KEY)
    assert await any_exist()


async def test_a_revoked_key_stays_as_it_was_revoked(keys: Keys) -> None:
    """A second revocation changes nothing, and makes no gateway read again."""
    await keys.insert(KEY)
    revoked = KEY._replace(revoked_at=NOW, revoked_by="boss")
    assert await keys.revoke(KEY) == Revoked(revoked, again=False)
    before = await keys.generation()
    assert await keys.revoke(KEY, actor="another") == Revoked(revoked, again=True)
    assert await keys.find(KEY) == revoked
    assert await keys.active() == []
    assert await keys.generation() == before


async def test_every_change_raises_the_generation(keys: Keys) -> None:
    """The generation makes gateways read again."""
    generation = await keys.generation()
    await keys.insert(KEY)
    assert await keys.generation() == generation + 1
    await keys.retire(KEY, NOW)
    assert await keys.generation() == generation + 2
    await keys.revoke(KEY)
    assert await keys.generation() == generation + 3


async def test_a_retired_key_ends_in_time_or_sooner(keys: Keys) -> None:
    for name, until, ends in (("a", NOW + 5, NOW + 5), ("b", LATER + 5, LATER)):
        key = KEY._replace(id=name)
        await keys.insert(key)
        assert await keys.retire(key, until)
        assert await keys.find(key) == key._replace(expires_at=ends, replaced_by="bbbbbbbb")


async def test_a_key_has_one_successor(keys: Keys) -> None:
    """Of ten concurrent rotations one succeeds. A revoked key has no successor."""
    revoked = KEY._replace(id="revoked", revoked_at=NOW, revoked_by="boss")
    await keys.insert(KEY, revoked)
    done = await asyncio.gather(*(keys.retire(KEY, LATER, f"next{n}") for n in range(10)))
    assert sorted(done) == [False] * 9 + [True]
    assert not await keys.retire(revoked, LATER)


async def test_the_last_use_is_never_earlier(keys: Keys) -> None:
    """Whichever of two gateways writes last. A key that does not exist is no error."""
    other = KEY._replace(id="bbbbbbbb")
    await keys.insert(KEY, other)
    for moments in ({KEY.id: 5}, {KEY.id: 6, "gone": 5}, {KEY.id: 4, other.id: 7}, {}):
        async with keys.database.begin() as connection:
            assert await api_keys.record_use(connection, moments) == set()
    assert await keys.find(KEY) == KEY._replace(last_used_at=6)
    assert await keys.find(other) == other._replace(last_used_at=7)


async def test_the_last_use_waits_for_no_change(postgres_url: str, tmp_path: Path) -> None:
    """A key that is being changed is left out, because the change may wait for another of these
    keys.
    """
    other = KEY._replace(id="bbbbbbbb")
    async with open_database(postgres_url, tmp_path) as database:
        keys = Keys(database)
        await keys.insert(KEY, other)
        async with database.begin() as changing:
            await api_keys.retire(changing, "default", KEY.id, expires_at=LATER, replaced_by="c")
            async with asyncio.timeout(5), database.begin() as connection:
                left_out = await api_keys.record_use(
                    connection, {KEY.id: 5, other.id: 7, "gone": 5}
                )
        assert left_out == {KEY.id}
        assert await keys.find(other) == other._replace(last_used_at=7)
        assert await keys.find(KEY) == KEY._replace(replaced_by="c")
