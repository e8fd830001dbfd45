"""A change of keys, secrets or workspaces, and its audit entry: both or neither."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from gateway.access.roles import SCOPES, Scope
from gateway.declined import AskingKeyOver, WorkspaceUnknown
from stores.audit_entries import ANONYMOUS, Entry

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from stores.audit.chain import Chain
    from stores.sql.database import Database
    from stores.sql.workspaces import Workspace


log = logging.getLogger("relay.audit")


class Actor(NamedTuple):
    """Who asks for a change, and what he may hand out: whoever has the command line, anything.

    `key`: the id of the key that he asks with, if any.
    """

    principal: str
    address: str = ""
    request_id: str = ""
    scopes: frozenset[Scope] = SCOPES
    live: bool = True
    key: str | None = None


class Transaction:
    def __init__(self, connection: "AsyncConnection", now_ms: int, actor: Actor) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self.entries: list[tuple[str, Entry]] = []
        self.actor = actor

    def record(self, event: str, subject: str, detail: str) -> None:
        """What the audit is to say of it. `subject`: the id of what was changed."""
        entry = Entry(
            event=event,
            at=self.now_ms,
            principal=self.actor.principal,
            address=self.actor.address,
            request_id=self.actor.request_id,
            subject=subject,
            detail=detail,
        )
        self.entries.append((str(uuid4()), entry))


class Transactions:
    def __init__(
        self, database: "Database", chain: "Chain", *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._chain = chain
        self._clock = clock

    @asynccontextmanager
    async def begin(
        self, workspace: str, actor: Actor, *, regardless: bool = False
    ) -> AsyncIterator[Transaction]:
        """One transaction, one at a time in a workspace; an exception in the block undoes it.

        Raises DatabaseUnavailable, BrokenChain and AskingKeyOver. The workspace is locked first,
        the end of its chain last. `regardless`: a chain that is broken is said in the log, and the
        change made.
        """
        from stores.audit.chain import BrokenChain
        from stores.sql.workspaces import lock

        async with self._database.begin() as connection:
            await lock(connection, workspace)
            # The time after the wait: the key of whoever asks may have ended meanwhile.
            transaction = Transaction(connection, int(self._clock() * 1000), actor)
            await _check_admitted(transaction, workspace)
            yield transaction
            try:
                async with connection.begin_nested():
                    await self._chain.append(connection, workspace, transaction.entries)
            except BrokenChain:
                if not regardless:
                    raise
                for _, entry in transaction.entries:
                    fields = {"workspace": workspace, "told": entry.event, "subject": entry.subject}
                    log.exception("audit.not_told", extra={"fields": fields})

    @asynccontextmanager
    async def reading(self) -> "AsyncIterator[AsyncConnection]":
        async with self._database.connect() as connection:
            yield connection


async def _check_admitted(transaction: Transaction, workspace: str) -> None:
    """Raises AskingKeyOver. What admitted him is memory, and up to some seconds old."""
    from stores.sql import api_keys

    actor = transaction.actor
    if actor.key is not None:
        key = await api_keys.find(transaction.connection, workspace, actor.key)
        if key is None or key.revoked_at is not None or key.expires_at <= transaction.now_ms:
            raise AskingKeyOver
    elif actor.principal == ANONYMOUS and await api_keys.any_made(transaction.connection):
        raise AskingKeyOver


async def existing(connection: "AsyncConnection", name: str) -> "Workspace":
    """Raises WorkspaceUnknown."""
    from stores.sql import workspaces

    for workspace in await workspaces.list_all(connection):
        if workspace.name == name:
            return workspace
    raise WorkspaceUnknown(name)
