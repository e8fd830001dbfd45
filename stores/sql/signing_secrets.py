"""Signing secrets of workspaces, sealed: only a holder of the encryption key can read them.

The newest secret of a workspace has no end. Older ones stay active for a while after it was
made, so that receivers have time to install it.
"""

from typing import NamedTuple

from stores.sql.drivers.connection import Connection
from stores.sql.tables import SIGNING_SECRETS
from stores.sql.workspaces import bump, lock

# The secret without an end is the newest, even if the clocks of two gateways disagreed.
NEWEST_FIRST = " ORDER BY retires_at IS NOT NULL, created_at DESC, id DESC"


class SealedSecret(NamedTuple):
    """Times are epoch milliseconds. `sealed_with`: the id of the key that unseals it."""

    id: str
    workspace: str
    sealed: bytes
    sealed_with: str
    created_at: int
    created_by: str
    retires_at: int | None = None


async def add(
    connection: Connection, secret: SealedSecret, *, overlap_ms: int, now_ms: int
) -> None:
    """Add a secret; older ones retire after the overlap, unless they retire sooner.

    Raises IntegrityError if the id is taken, or the workspace does not exist.
    """
    # Otherwise two concurrent calls would leave two secrets without an end.
    await lock(connection, secret.workspace)
    await connection.execute(
        "UPDATE signing_secrets SET retires_at = $2 "
        "WHERE workspace = $1 AND (retires_at IS NULL OR retires_at > $2)",
        secret.workspace,
        now_ms + overlap_ms,
    )
    await connection.insert(SIGNING_SECRETS, [secret])
    await bump(connection)


async def active(connection: Connection, now_ms: int) -> list[SealedSecret]:
    """The secrets of all workspaces that have not retired, newest first."""
    active = "WHERE (retires_at IS NULL OR retires_at > $1)"
    rows = await connection.fetch(SIGNING_SECRETS.select + active + NEWEST_FIRST, now_ms)
    return [SealedSecret(*row) for row in rows]


async def list_all(connection: Connection, workspace: str) -> list[SealedSecret]:
    """All secrets of a workspace, newest first."""
    theirs = "WHERE workspace = $1"
    rows = await connection.fetch(SIGNING_SECRETS.select + theirs + NEWEST_FIRST, workspace)
    return [SealedSecret(*row) for row in rows]


async def reseal(
    connection: Connection, secret_id: str, *, sealed: bytes, sealed_with: str
) -> None:
    """Store the same secret sealed with another key. Gateways need not read it again."""
    await connection.execute(
        "UPDATE signing_secrets SET sealed = $2, sealed_with = $3 WHERE id = $1",
        secret_id,
        sealed,
        sealed_with,
    )
