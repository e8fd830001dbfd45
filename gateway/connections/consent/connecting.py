"""Store a grant as a connection: a new one, or the one that the workspace has of the same account.

The key of the administrator who asked for it is looked at again.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

from gateway.access.sealing import Sealer, UnknownKey
from gateway.connections.consent.handshake import NotConnected, Ticket
from gateway.connections.consent.identity import Identity
from gateway.connections.grants import Kept, seal_kept
from gateway.problems import Unauthenticated, WorkspaceNotFound
from gateway.transaction import Actor, Transaction, Transactions, existing
from stores.audit.chain import BrokenChain
from stores.sql import connections as rows
from stores.sql.connections import CONNECTIONS_MAX, LABEL_MAX, ConnectionRow
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated


class Granted(NamedTuple):
    """What a provider has granted, and whose account it is of."""

    identity: Identity
    kept: Kept
    scopes: Sequence[str]


class Connecting:
    def __init__(
        self, find_transactions: Callable[[], Awaitable[Transactions]], sealer: Sealer
    ) -> None:
        self._find_transactions = find_transactions
        self._sealer = sealer

    async def store(self, ticket: Ticket, granted: Granted, actor: Actor) -> ConnectionRow:
        """The connection as it now is. Raises NotConnected."""
        try:
            transactions = await self._find_transactions()
            async with transactions.begin(ticket.workspace, actor) as transaction:
                return await self._write(transaction, ticket, granted)
        except (Unauthenticated, WorkspaceNotFound) as error:
            sentence = "The key that asked for this connection is not valid any more."
            raise NotConnected("key_ended", sentence) from error
        except UnknownKey as error:
            raise NotConnected("unsealed", "RELAY_ENCRYPTION_KEY is not set.") from error
        except (DatabaseUnavailable, SchemaOutdated, BrokenChain) as error:
            sentence = "Relay cannot store the connection at the moment. Connect once more."
            raise NotConnected("unavailable", sentence) from error

    async def record_denied(self, ticket: Ticket, reason: str, actor: Actor) -> None:
        """Record why an account was not connected."""
        with suppress(DatabaseUnavailable, SchemaOutdated, Unauthenticated, BrokenChain):
            transactions = await self._find_transactions()
            recorded = actor._replace(key=None)
            async with transactions.begin(
                ticket.workspace, recorded, regardless=True
            ) as transaction:
                transaction.record("connection.denied", "", f"{ticket.provider}: {reason}")

    async def _write(
        self, transaction: Transaction, ticket: Ticket, granted: Granted
    ) -> ConnectionRow:
        connection, identity = transaction.connection, granted.identity
        await existing(connection, ticket.workspace)
        found = await rows.find_account(
            connection,
            ticket.workspace,
            provider=ticket.provider,
            issuer=identity.issuer,
            subject=identity.subject,
        )
        theirs = await rows.list_all(connection, ticket.workspace)
        if found is None and len(theirs) >= CONNECTIONS_MAX:
            sentence = f"The workspace has {CONNECTIONS_MAX} connections; delete one."
            raise NotConnected("too_many", sentence)
        before = found.row if found else _new(ticket, identity, theirs)
        row = await self._put(transaction, before, granted, again=found is not None)
        detail = f"{row.provider} as {row.account}, with {row.scopes or 'no scopes'}"
        transaction.record("connection.connected", row.id, detail)
        return row

    async def _put(
        self, transaction: Transaction, before: ConnectionRow, granted: Granted, *, again: bool
    ) -> ConnectionRow:
        version = before.version + 1 if again else before.version
        row = before._replace(
            account=granted.identity.account,
            tenant=granted.identity.tenant,
            scopes=" ".join(sorted(granted.scopes)),
            refreshed_at=transaction.now_ms,
            created_at=before.created_at or transaction.now_ms,
        )
        secret = seal_kept(self._sealer, granted.kept, row, version=version)
        if again:
            await rows.connect_again(transaction.connection, row, secret, seen=before.version)
        else:
            await rows.insert(transaction.connection, row, secret)
        return row._replace(version=version, state="active")


def _new(ticket: Ticket, identity: Identity, theirs: Sequence[ConnectionRow]) -> ConnectionRow:
    return ConnectionRow(
        id=str(uuid4()),
        workspace=ticket.workspace,
        provider=ticket.provider,
        kind="oauth",
        label=_label(ticket.provider, identity.account, theirs),
        issuer=identity.issuer,
        subject=identity.subject,
        account=identity.account,
        tenant=identity.tenant,
        scopes="",
        hosts="",
        header="Authorization",
        state="active",
        version=1,
        created_at=0,
        created_by=ticket.principal,
    )


def _label(provider: str, account: str, theirs: Sequence[ConnectionRow]) -> str:
    """A name that no other connection of the workspace has."""
    taken = {row.label for row in theirs}
    label = account[:LABEL_MAX].strip()
    if label in taken:
        label = f"{provider} {account}"[:LABEL_MAX].strip()
    return label if label not in taken else f"{provider} {uuid4()}"
