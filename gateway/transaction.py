"""A change of keys, secrets or workspaces and its audit entry, in one transaction: both or neither.

Each change locks its workspace first and looks at the caller's key again: admission works from
memory that is up to 2 s old, and a revoked admin must not leave a new key behind.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import uuid4

from gateway.access.roles import SCOPES, Scope
from gateway.problems import Unauthenticated, WorkspaceNotFound
from stores.audit.chain import BrokenChain, Chain
from stores.audit_entries import ANONYMOUS, Entry
from stores.sql import api_keys, workspaces
from stores.sql.database import Database
from stores.sql.drivers.connection import Connection

log = logging.getLogger("relay.audit")


class Actor(NamedTuple):
    """Who makes a change, and the scopes that the actor may hand out: by default all, as on the
    command line. `key`: the id of the actor's API key, if any;
    `subject` and `makers` are that key's.
    """

    principal: str
    address: str = ""
    request_id: str = ""
    scopes: frozenset[Scope] = SCOPES
    live: bool = True
    key: str | None = None
    subject: str = ""
    makers: Sequence[str] = ()


class Transaction:
    def __init__(self, connection: Connection, now_ms: int, actor: Actor) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self.entries: list[tuple[str, Entry]] = []
        self._actor = actor

    def record(self, event: str, subject: str, detail: str) -> None:
        """Append an audit entry when the block ends. `subject`: the id of what was changed."""
        entry = Entry(
            event=event,
            at=self.now_ms,
            principal=self._actor.principal,
            address=self._actor.address,
            request_id=self._actor.request_id,
            subject=subject,
            detail=detail,
        )
        self.entries.append((str(uuid4()), entry))


class Transactions:
    def __init__(
        self, database: Database, chain: Chain, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.database = database
        self._chain = chain
        self._clock = clock

    @asynccontextmanager
    async def begin(
        self, workspace: str, actor: Actor, *, regardless: bool = False
    ) -> AsyncIterator[Transaction]:
        """One transaction, one at a time in a workspace; an exception in the block undoes it.

        Locks the workspace first and the end of its audit chain last. `regardless`: commit the
        change even if the chain is broken, and log that its entry is missing. Raises
        Unauthenticated, BrokenChain and DatabaseUnavailable.
        """
        async with self.database.begin() as connection:
            await workspaces.lock(connection, workspace)
            # The time after the wait: the actor's key may have ended meanwhile.
            transaction = Transaction(connection, int(self._clock() * 1000), actor)
            await _check_key(connection, workspace, actor, transaction.now_ms)
            yield transaction
            await connection.execute("SAVEPOINT audit")
            try:
                await self._chain.append(connection, workspace, transaction.entries)
            except BrokenChain:
                if not regardless:
                    raise
                await connection.execute("ROLLBACK TO audit")
                for _, entry in transaction.entries:
                    fields = {"workspace": workspace, "missing": entry.event}
                    log.exception(
                        "audit.entry_missing",
                        extra={"fields": {**fields, "subject": entry.subject}},
                    )


async def _check_key(connection: Connection, workspace: str, actor: Actor, now_ms: int) -> None:
    """Raises Unauthenticated if the actor's key has ended since its admission."""
    ended = False
    if actor.key is not None:
        key = await api_keys.find(connection, workspace, actor.key)
        ended = key is None or key.revoked_at is not None or key.expires_at <= now_ms
    elif actor.principal == ANONYMOUS:
        ended = await api_keys.any_exist(connection)
    if ended:
        raise Unauthenticated("This key is unknown, expired or revoked.")


async def existing(connection: Connection, name: str) -> workspaces.Workspace:
    """Raises WorkspaceNotFound."""
    for workspace in await workspaces.list_all(connection):
        if workspace.name == name:
            return workspace
    raise WorkspaceNotFound(f"There is no workspace {name!r}.")
