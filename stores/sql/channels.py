"""Channels: where notices of approvals go. Names are unique in a workspace."""

from typing import NamedTuple

from stores.sql.drivers.connection import Connection
from stores.sql.tables import CHANNELS
from stores.sql.workspaces import bump


class Channel(NamedTuple):
    """`escalation_only`: gets reminders of the rules that name it, and nothing else. `created_at`:
    epoch milliseconds.
    """

    id: str
    workspace: str
    name: str
    url: str
    escalation_only: bool
    created_at: int
    created_by: str


async def add(connection: Connection, channel: Channel) -> bool:
    """False if the workspace has a channel with this name."""
    if not await connection.insert(CHANNELS, [channel], "ON CONFLICT DO NOTHING"):
        return False
    await bump(connection)
    return True


async def remove(connection: Connection, workspace: str, channel_id: str) -> Channel | None:
    """The channel that was removed; None if the workspace has none with this id."""
    for channel in await list_all(connection, workspace):
        if channel.id == channel_id:
            await connection.execute("DELETE FROM channels WHERE id = $1", channel_id)
            await bump(connection)
            return channel
    return None


async def list_all(connection: Connection, workspace: str) -> list[Channel]:
    """The channels of a workspace, by name."""
    theirs = "WHERE workspace = $1 ORDER BY name"
    return [_channel(row) for row in await connection.fetch(CHANNELS.select + theirs, workspace)]


async def of_all(connection: Connection) -> list[Channel]:
    """The channels of all workspaces."""
    rows = await connection.fetch(CHANNELS.select + "ORDER BY workspace, name")
    return [_channel(row) for row in rows]


def _channel(row: tuple[str, str, str, str, bool, int, str]) -> Channel:
    channel = Channel(*row)
    return channel._replace(escalation_only=bool(channel.escalation_only))  # SQLite has integers
