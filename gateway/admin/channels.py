"""Create and delete channels: URLs that get the notices of approvals, and no way to act."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from gateway.problems import ChannelExists, ChannelNotFound, InvalidRequest
from gateway.transaction import Actor, Transactions, existing
from stores.sql import channels as rows

# Each event of an approval goes to all of them.
CHANNELS_MAX = 20

# Raises TargetForbidden.
CheckTarget = Callable[[str], Awaitable[None]]


class ChannelRequest(NamedTuple):
    name: str
    url: str
    escalation_only: bool = False


class Channels:
    """All methods raise DatabaseUnavailable and WorkspaceNotFound; those that change something also
    Unauthenticated and BrokenChain.
    """

    def __init__(self, transactions: Transactions, check_target: CheckTarget) -> None:
        self._transactions = transactions
        self._check_target = check_target

    async def create_channel(
        self, workspace: str, wanted: ChannelRequest, *, actor: Actor
    ) -> rows.Channel:
        """Raises TargetForbidden, ChannelExists and InvalidRequest."""
        if not wanted.name.isprintable() or not 1 <= len(wanted.name) <= 64:
            raise InvalidRequest("A channel's name has 1 to 64 printable characters.")
        await self._check_target(wanted.url)
        async with self._transactions.begin(workspace, actor) as transaction:
            await existing(transaction.connection, workspace)
            if len(await rows.list_all(transaction.connection, workspace)) >= CHANNELS_MAX:
                raise InvalidRequest(f"The workspace has {CHANNELS_MAX} channels; delete one.")
            channel = rows.Channel(
                id=str(uuid4()),
                workspace=workspace,
                name=wanted.name,
                url=wanted.url,
                escalation_only=wanted.escalation_only,
                created_at=transaction.now_ms,
                created_by=actor.principal,
            )
            if not await rows.add(transaction.connection, channel):
                raise ChannelExists(f"The workspace has a channel {wanted.name!r} already.")
            transaction.record("channel.changed", channel.id, _text("created", channel))
        return channel

    async def list_channels(self, workspace: str) -> list[rows.Channel]:
        """By name."""
        async with self._transactions.database.connect() as connection:
            await existing(connection, workspace)
            return await rows.list_all(connection, workspace)

    async def find_channel(self, workspace: str, channel_id: str) -> rows.Channel:
        """Raises ChannelNotFound, the same for an unknown id and for another workspace's."""
        for channel in await self.list_channels(workspace):
            if channel.id == channel_id:
                return channel
        raise channel_not_found()

    async def delete_channel(
        self, workspace: str, channel_id: str, *, actor: Actor
    ) -> rows.Channel:
        """Raises ChannelNotFound, the same for an unknown id and for another workspace's."""
        async with self._transactions.begin(workspace, actor) as transaction:
            channel = await rows.remove(transaction.connection, workspace, channel_id)
            if channel is None:
                raise channel_not_found()
            transaction.record("channel.changed", channel_id, _text("deleted", channel))
        return channel


def channel_not_found() -> ChannelNotFound:
    return ChannelNotFound("The workspace has no channel with this id.")


def _text(change: str, channel: rows.Channel) -> str:
    """Without the URL's path, which may hold a secret of its receiver."""
    reach = "escalations only" if channel.escalation_only else "all approvals"
    return f"{change} {channel.name!r} at {urlsplit(channel.url).hostname}, {reach}"
