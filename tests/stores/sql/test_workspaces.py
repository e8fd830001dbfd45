"""Workspaces have names that are valid everywhere and limits, and each change raises the
generation.
"""

import asyncio

import pytest

from stores.sql import workspaces
from stores.sql.database import Database
from stores.sql.workspaces import Limits, Workspace

LONGEST = "a" * 63


async def create(database: Database, name: str) -> bool:
    async with database.begin() as connection:
        return await workspaces.create(connection, name, now_ms=1)


async def generation(database: Database) -> int:
    async with database.connect() as connection:
        return await workspaces.generation(connection)


async def test_a_workspace_is_created_once(database: Database) -> None:
    """Of ten concurrent calls one creates it; the others learn that it exists."""
    made = await asyncio.gather(*(create(database, "acme") for _ in range(10)))
    assert sorted(made) == [False] * 9 + [True]


async def test_workspaces_are_listed_by_name(database: Database) -> None:
    for name in ("b", "c-2", "a"):
        await create(database, name)
    async with database.connect() as connection:
        found = await workspaces.list_all(connection)
    assert [workspace.name for workspace in found] == ["a", "b", "c-2", "default"]
    assert found[0] == Workspace("a", 1, Limits())


async def test_a_name_has_letters_digits_and_dashes(database: Database) -> None:
    for name in ("a", "0", "a-", "a-b", "9lives", LONGEST):
        assert await create(database, name), name


async def test_another_name_is_refused(database: Database) -> None:
    wrong = ["", "-", "-a", "A", "a_b", "a b", "a\n", "a.b", "é", "{a}", "a\0", LONGEST + "a"]
    for name in wrong:
        with pytest.raises(ValueError, match="1 to 63"):
            await create(database, name)
    assert await generation(database) == 0


async def test_limits_are_replaced_as_a_whole(database: Database) -> None:
    """A limit of None uses the setting again."""
    limits = Limits(preview=1, execute=2, runs_at_once=3, runs_at_once_per_target=4)
    for limit in (limits, Limits(execute=5)):
        async with database.begin() as connection:
            assert await workspaces.change(connection, "default", limit)
        async with database.connect() as connection:
            assert [found.limits for found in await workspaces.list_all(connection)] == [limit]


async def test_an_unknown_workspace_is_not_changed(database: Database) -> None:
    async with database.begin() as connection:
        assert not await workspaces.change(connection, "unknown", Limits())
    assert await generation(database) == 0


async def test_every_change_raises_the_generation(database: Database) -> None:
    """A call that changes nothing does not: no gateway reads again for it."""
    assert await create(database, "acme")
    assert await generation(database) == 1
    assert not await create(database, "acme")
    assert await generation(database) == 1
    async with database.begin() as connection:
        await workspaces.change(connection, "acme", Limits(preview=1))
    assert await generation(database) == 2
