"""When keys were last used: no use is forgotten, and no change of keys waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.access.key_cache import LastUsed
from stores.sql import api_keys
from stores.sql.database import Database, open_database
from stores.sql.workspaces import lock
from tests.stores.sql.test_api_keys import KEY, LATER, Keys

OTHER = KEY._replace(id="bbbbbbbb")


@pytest.fixture
async def postgres_keys(postgres_url: str, tmp_path: Path) -> AsyncIterator[Keys]:
    async with open_database(postgres_url, tmp_path) as database:
        keys = Keys(database)
        await keys.insert(KEY, OTHER)
        yield keys


async def last(keys: Keys) -> list[int | None]:
    return [found and found.last_used_at for found in [await keys.find(k) for k in (KEY, OTHER)]]


async def write_beside_a_change(
    used: LastUsed, database: Database, *, meanwhile: Callable[[], None] = lambda: None
) -> None:
    async with database.begin() as changing:
        await lock(changing, "default")
        await api_keys.retire(changing, "default", KEY.id, expires_at=LATER, replaced_by="c")
        writing = asyncio.create_task(used.write(database))
        await asyncio.sleep(0)  # it has begun
        meanwhile()
        async with asyncio.timeout(5):
            await writing


async def test_a_use_that_meets_a_change_is_written_later(postgres_keys: Keys) -> None:
    """It may have been the only one ever."""
    used = LastUsed(api_keys.record_use)
    used.note(KEY.id, 5)
    used.note(OTHER.id, 7)
    await write_beside_a_change(used, postgres_keys.database)
    assert await last(postgres_keys) == [None, 7]
    await used.write(postgres_keys.database)
    assert await last(postgres_keys) == [5, 7]


async def test_a_newer_use_is_kept(postgres_keys: Keys) -> None:
    """One that is noted while the older one cannot be written."""
    used = LastUsed(api_keys.record_use)
    used.note(KEY.id, 5)
    newer = partial(used.note, KEY.id, 9)
    await write_beside_a_change(used, postgres_keys.database, meanwhile=newer)
    await used.write(postgres_keys.database)
    assert await last(postgres_keys) == [9, None]


async def test_what_is_written_is_done_with(database: Database) -> None:
    """Also if the row was deleted, and for an unknown key."""
    keys, used = Keys(database), LastUsed(api_keys.record_use)
    await keys.insert(KEY)
    used.note(KEY.id, 5)
    used.note("gone", 5)
    await used.write(database)
    await keys.clear()
    await keys.insert(KEY, KEY._replace(id="gone"))
    await used.write(database)
    async with database.connect() as connection:
        found = await api_keys.list_all(connection, "default")
    assert [key.last_used_at for key in found] == [None, None]


async def test_more_keys_than_a_statement_takes(database: Database) -> None:
    """Each has its own moment."""
    keys = [KEY._replace(id=f"{number:08}") for number in range(1001)]
    await Keys(database).insert(*keys[:2], *keys[-2:])
    async with database.begin() as connection:
        moments = {key.id: number for number, key in enumerate(keys)}
        assert await api_keys.record_use(connection, moments) == set()
    async with database.connect() as connection:
        found = {key.id: key.last_used_at for key in await api_keys.list_all(connection, "default")}
    assert found == {key_id: moments[key_id] for key_id in found}
