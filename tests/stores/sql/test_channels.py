"""Channels in the database: names are unique in a workspace, and each change is read again."""

from stores.sql import channels, workspaces
from stores.sql.channels import Channel
from stores.sql.database import Database

DUTY = Channel("c-1", "default", "duty", "https://a.example/x", True, 1, "boss")


async def test_a_channel_is_read_as_it_was_written(database: Database) -> None:
    async with database.begin() as connection:
        assert await channels.add(connection, DUTY)
        assert await channels.add(
            connection, DUTY._replace(id="c-2", name="all", escalation_only=False)
        )
    async with database.connect() as connection:
        listed = await channels.list_all(connection, "default")
        assert listed == await channels.of_all(connection)
    assert [(it.name, it.escalation_only) for it in listed] == [("all", False), ("duty", True)]
    assert listed[1] == DUTY


async def test_a_name_is_unique_in_its_workspace(database: Database) -> None:
    async with database.begin() as connection:
        await workspaces.create(connection, "other", now_ms=1)
        assert await channels.add(connection, DUTY)
        assert not await channels.add(connection, DUTY._replace(id="c-2"))
        assert await channels.add(connection, DUTY._replace(id="c-3", workspace="other"))


async def test_a_workspace_removes_only_its_own(database: Database) -> None:
    """Each change raises the generation, so that every gateway reads it."""
    async with database.begin() as connection:
        await workspaces.create(connection, "other", now_ms=1)
        await channels.add(connection, DUTY)
        before = await workspaces.generation(connection)
        assert await channels.remove(connection, "other", "c-1") is None
        assert await workspaces.generation(connection) == before
        assert await channels.remove(connection, "default", "c-1") == DUTY
        assert await workspaces.generation(connection) == before + 1
        assert await channels.of_all(connection) == []
