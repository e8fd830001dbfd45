"""Create connections of static credentials, and list and delete connections of any kind.

A secret comes in once, is sealed at once, and never leaves.
"""

import re
from collections.abc import Sequence
from uuid import uuid4

from gateway.access.sealing import Sealer, UnknownKey, place_of_connection
from gateway.admin.channels import CheckTarget
from gateway.admin.static_credentials import StaticRequest, header_of, invalid
from gateway.effects import origin_of
from gateway.problems import (
    ConnectionExists,
    ConnectionNotFound,
    EncryptionNotConfigured,
    Forbidden,
    InvalidRequest,
)
from gateway.transaction import Actor, Transactions, existing
from stores.sql import connections as rows
from stores.sql.connections import (
    CONNECTIONS_MAX,
    LABEL_MAX,
    ConnectionRow,
    SealedConnection,
)

HOSTS_MAX = 20
PROVIDER = "static"


class Connections:
    """All methods raise DatabaseUnavailable and WorkspaceNotFound; those that change something also
    Unauthenticated and BrokenChain.
    """

    def __init__(
        self, transactions: Transactions, sealer: Sealer, check_target: CheckTarget
    ) -> None:
        self._transactions = transactions
        self._sealer = sealer
        self._check_target = check_target

    async def create_static(
        self, workspace: str, wanted: StaticRequest, *, actor: Actor
    ) -> ConnectionRow:
        """Raises Forbidden, InvalidRequest, TargetForbidden, ConnectionExists and
        EncryptionNotConfigured.
        """
        if not actor.live:  # live previews could be sent with it
            raise Forbidden("A test key cannot create connections.")
        _check_label(wanted.label)
        header, value = header_of(wanted)
        row = ConnectionRow(
            id=(connection_id := str(uuid4())),
            workspace=workspace,
            provider=PROVIDER,
            kind=wanted.kind,
            label=wanted.label,
            issuer=PROVIDER,
            subject=connection_id,
            account=wanted.user or wanted.label,
            tenant=None,
            scopes="",
            hosts=" ".join(await self._origins(wanted.hosts)),
            header=header,
            state="active",
            version=1,
            created_at=0,
            created_by=actor.principal,
        )
        secret = self._seal(value, place_of_connection(workspace, row.id, row.version))
        return await self._insert(row, secret, actor=actor)

    async def _insert(
        self, row: ConnectionRow, secret: rows.Sealed, *, actor: Actor
    ) -> ConnectionRow:
        async with self._transactions.begin(row.workspace, actor) as transaction:
            await existing(transaction.connection, row.workspace)
            theirs = await rows.list_all(transaction.connection, row.workspace)
            _check_room(theirs, row.label)
            created = row._replace(created_at=transaction.now_ms)
            await rows.insert(transaction.connection, created, secret)
            transaction.record("connection.created", row.id, described(row))
        return created

    async def list_connections(self, workspace: str) -> list[ConnectionRow]:
        """Oldest first."""
        async with self._transactions.database.connect() as connection:
            await existing(connection, workspace)
            return await rows.list_all(connection, workspace)

    async def find_connection(self, workspace: str, connection_id: str) -> ConnectionRow:
        """Raises ConnectionNotFound, the same for an unknown id and for another workspace's."""
        for row in await self.list_connections(workspace):
            if row.id == connection_id:
                return row
        raise connection_not_found()

    async def delete_connection(
        self, workspace: str, connection_id: str, *, actor: Actor
    ) -> tuple[SealedConnection, bool]:
        """What was deleted, and whether another connection is of the same account. Raises
        ConnectionNotFound, the same for an unknown id and for another workspace's.
        """
        async with self._transactions.begin(workspace, actor) as transaction:
            gone = await rows.remove(transaction.connection, workspace, connection_id)
            if gone is None:
                raise connection_not_found()
            shared = await rows.share_account(transaction.connection, gone.row)
            transaction.record("connection.deleted", connection_id, described(gone.row))
        return gone, shared

    async def _origins(self, hosts: Sequence[str]) -> list[str]:
        """Raises InvalidRequest and TargetForbidden."""
        if not 1 <= len(hosts) <= HOSTS_MAX:
            raise invalid("/hosts", f"A connection has 1 to {HOSTS_MAX} hosts.")
        origins = []
        for index, host in enumerate(hosts):
            url = host if "://" in host else f"https://{host}"
            if re.search(r"[/?#@*]", url.partition("://")[2]) or not (origin := origin_of(url)):
                raise invalid(f"/hosts/{index}", "A host is a name or name:port, without a path.")
            await self._check_target(f"{origin}/")
            origins.append(origin)
        return sorted({*origins})

    def _seal(self, value: str, bound_to: str) -> rows.Sealed:
        try:
            return rows.Sealed(*self._sealer.seal(value.encode(), bound_to=bound_to))
        except UnknownKey as error:
            raise EncryptionNotConfigured("RELAY_ENCRYPTION_KEY is not set.") from error


def connection_not_found() -> ConnectionNotFound:
    return ConnectionNotFound("The workspace has no connection with this id.")


def described(row: ConnectionRow) -> str:
    """What the audit says of it."""
    reach = f"to {row.hosts}" if row.hosts else f"with {row.scopes or 'no scopes'}"
    return f"{row.provider} ({row.kind}) {row.label!r} as {row.account}, {reach}"


def _check_label(label: str) -> None:
    if not label.isprintable() or not 1 <= len(label) <= LABEL_MAX or label != label.strip():
        raise invalid("/label", f"A label has 1 to {LABEL_MAX} printable characters.")


def _check_room(theirs: Sequence[ConnectionRow], label: str) -> None:
    if len(theirs) >= CONNECTIONS_MAX:
        raise InvalidRequest(f"The workspace has {CONNECTIONS_MAX} connections; delete one.")
    if any(row.label == label for row in theirs):
        raise ConnectionExists(f"The workspace has a connection {label!r} already.")
