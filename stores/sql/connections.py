"""Connections: credentials of workspaces at providers and other hosts.

A secret is sealed, bound to its row and version, and read one at a time: listings hold none. A
write that has seen an older version changes nothing, so that of two replicas one wins.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from stores.sql.drivers.connection import Connection
from stores.sql.tables import CONNECTIONS
from stores.sql.workspaces import bump

# Of one workspace: all of them are in the memory of every gateway.
CONNECTIONS_MAX = 200
LABEL_MAX = 64

Kind = Literal["oauth", "bearer", "basic", "header"]
State = Literal["active", "needs_reauth"]


class Sealed(NamedTuple):
    """A refresh token or a static credential. `sealed_with`: the id of the key that unseals it."""

    sealed: bytes
    sealed_with: str


class ConnectionRow(NamedTuple):
    """All but the secret. Times are epoch milliseconds. `issuer` and `subject`: the account at the
    provider, unique in a workspace. `account`: its name for people. `label`: what people call the
    connection. `scopes` and `hosts`: separated by spaces; the hosts of a static credential, as
    `host` or `host:port`. `version`: grows with each new secret.
    """

    id: str
    workspace: str
    provider: str
    kind: Kind
    label: str
    issuer: str
    subject: str
    account: str
    tenant: str | None
    scopes: str
    hosts: str
    header: str
    state: State
    version: int
    created_at: int
    created_by: str
    refreshed_at: int | None = None
    used_at: int | None = None


class SealedConnection(NamedTuple):
    row: ConnectionRow
    secret: Sealed


FACTS = ", ".join(ConnectionRow._fields)
SELECT = f"SELECT {FACTS} FROM connections "  # noqa: S608 - no text of a caller


async def insert(connection: Connection, row: ConnectionRow, secret: Sealed) -> bool:
    """False if the workspace has a connection of this account."""
    if not await connection.insert(CONNECTIONS, [(*row, *secret)], "ON CONFLICT DO NOTHING"):
        return False
    await bump(connection)
    return True


async def of_all(connection: Connection) -> list[ConnectionRow]:
    """The connections of all workspaces, oldest first."""
    rows = await connection.fetch(SELECT + "ORDER BY workspace, created_at, id")
    return [ConnectionRow(*row) for row in rows]


async def list_all(connection: Connection, workspace: str) -> list[ConnectionRow]:
    """The connections of a workspace, oldest first."""
    theirs = "WHERE workspace = $1 ORDER BY created_at, id"
    return [ConnectionRow(*row) for row in await connection.fetch(SELECT + theirs, workspace)]


async def find(
    connection: Connection, workspace: str, connection_id: str
) -> SealedConnection | None:
    """None also for a connection of another workspace."""
    return await _one(connection, "workspace = $1 AND id = $2", workspace, connection_id)


async def find_account(
    connection: Connection, workspace: str, *, provider: str, issuer: str, subject: str
) -> SealedConnection | None:
    """The connection of this account, which is the one to write to when it connects again."""
    which = "workspace = $1 AND provider = $2 AND issuer = $3 AND subject = $4"
    return await _one(connection, which, workspace, provider, issuer, subject)


async def sealed_with_another(connection: Connection, key_id: str | None) -> list[SealedConnection]:
    """The connections of all workspaces whose secret another key has sealed."""
    rows = await connection.fetch(CONNECTIONS.select + "WHERE sealed_with <> $1", key_id or "")
    return [_sealed(row) for row in rows]


async def sealing_keys(connection: Connection) -> dict[str, int]:
    """How many secrets each key has sealed."""
    counted = "SELECT sealed_with, count(*) FROM connections GROUP BY sealed_with"
    return {str(key_id): int(count) for key_id, count in await connection.fetch(counted)}


async def share_account(connection: Connection, row: ConnectionRow) -> bool:
    """Whether another connection, of any workspace, is of the same account."""
    which = "WHERE provider = $1 AND issuer = $2 AND subject = $3 AND id <> $4"
    same = (row.provider, row.issuer, row.subject, row.id)
    return bool(await connection.fetch(SELECT + which + " LIMIT 1", *same))


async def connect_again(
    connection: Connection, row: ConnectionRow, secret: Sealed, *, seen: int
) -> bool:
    """Write what the row now says of its account, with a new secret, and make it active. The secret
    is bound to version `seen + 1`. False if the row is no longer at the version `seen`.
    """
    changed = await connection.execute(
        "UPDATE connections SET account = $3, label = $4, tenant = $5, scopes = $6, "
        "refreshed_at = $7, sealed = $8, sealed_with = $9, version = version + 1, "
        "state = 'active' WHERE id = $1 AND version = $2",
        *(row.id, seen, row.account, row.label, row.tenant, row.scopes, row.refreshed_at),
        *secret,
    )
    return await _bumped(connection, changed)


async def rotate(
    connection: Connection, connection_id: str, secret: Sealed, *, seen: int, now_ms: int
) -> bool:
    """Write a new refresh token, bound to version `seen + 1`. False if the row is no longer active
    at the version `seen`: another replica was faster. Gateways need not read it again: they read
    the token from the row.
    """
    changed = await connection.execute(
        "UPDATE connections SET sealed = $3, sealed_with = $4, version = version + 1, "
        "refreshed_at = $5 WHERE id = $1 AND version = $2 AND state = 'active'",
        connection_id,
        seen,
        *secret,
        now_ms,
    )
    return bool(changed)


async def record_refresh(connection: Connection, connection_id: str, *, now_ms: int) -> None:
    """Record that a new access token came without a new refresh token. The version stays."""
    await connection.execute(
        "UPDATE connections SET refreshed_at = $2 WHERE id = $1", connection_id, now_ms
    )


async def mark_needs_reauth(connection: Connection, connection_id: str, *, seen: int) -> bool:
    """False if the row is no longer active at the version `seen`. The secret stays."""
    changed = await connection.execute(
        "UPDATE connections SET state = 'needs_reauth' "
        "WHERE id = $1 AND version = $2 AND state = 'active'",
        connection_id,
        seen,
    )
    return await _bumped(connection, changed)


async def remove(
    connection: Connection, workspace: str, connection_id: str
) -> SealedConnection | None:
    """The connection that was removed; None if the workspace has none with this id."""
    if removed := await find(connection, workspace, connection_id):
        await connection.execute("DELETE FROM connections WHERE id = $1", connection_id)
        await bump(connection)
    return removed


async def reseal(connection: Connection, row: ConnectionRow, secret: Sealed) -> bool:
    """Store the same secret sealed with another key. False if it has changed. Gateways need not
    read it again.
    """
    changed = await connection.execute(
        "UPDATE connections SET sealed = $3, sealed_with = $4 WHERE id = $1 AND version = $2",
        row.id,
        row.version,
        *secret,
    )
    return bool(changed)


async def record_use(connection: Connection, moments: Mapping[str, int]) -> set[str]:
    """Record when each connection was last used; a later time in the database stays. Not a change
    that gateways have to read.

    Returns the ids of those that another transaction is changing, which are left out: this one
    locks rows of many workspaces, and must not wait for a lock to avoid deadlocks.
    """
    named = "SELECT id FROM connections WHERE id = ANY($1)"
    free = {one for (one,) in await connection.fetch(f"{named} FOR UPDATE SKIP LOCKED", [*moments])}
    for connection_id in free:
        await connection.execute(
            "UPDATE connections SET used_at = $2 "
            "WHERE id = $1 AND (used_at IS NULL OR used_at < $2)",
            connection_id,
            moments[connection_id],
        )
    return {one for (one,) in await connection.fetch(named, [*moments])} - free


async def _one(connection: Connection, which: str, *values: str) -> SealedConnection | None:
    rows = await connection.fetch(f"{CONNECTIONS.select}WHERE {which}", *values)
    return _sealed(rows[0]) if rows else None


def _sealed(row: tuple[object, ...]) -> SealedConnection:
    *facts, sealed, sealed_with = row
    return SealedConnection(ConnectionRow(*facts), Sealed(sealed, sealed_with))  # type: ignore[arg-type]


async def _bumped(connection: Connection, changed: int) -> bool:
    if changed:
        await bump(connection)
    return bool(changed)
