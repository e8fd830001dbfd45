"""Signing secrets of workspaces, sealed: only a holder of the encryption key can read them.

The newest secret of a workspace has no end. Older ones stay active for a while after it was
made, so that receivers have time to install it.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.tables import signing_secrets
from stores.sql.workspaces import bump, lock


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
    connection: AsyncConnection, secret: SealedSecret, *, overlap_ms: int, now_ms: int
) -> None:
    """Add a secret; older ones retire after the overlap, unless they retire sooner.

    Raises IntegrityError if the id is taken, or the workspace does not exist.
    """
    # Otherwise two concurrent calls would leave two secrets without an end.
    await lock(connection, secret.workspace)
    retires = signing_secrets.c.retires_at
    until = now_ms + overlap_ms
    await connection.execute(
        update(signing_secrets)
        .where(signing_secrets.c.workspace == secret.workspace)
        .where(or_(retires.is_(None), retires > until))
        .values(retires_at=until)
    )
    await connection.execute(insert(signing_secrets).values(secret._asdict()))
    await bump(connection)


async def active(connection: AsyncConnection, now_ms: int) -> list[SealedSecret]:
    """The secrets of all workspaces that have not retired, newest first."""
    retires = signing_secrets.c.retires_at
    return await _secrets(connection, or_(retires.is_(None), retires > now_ms))


async def list_all(connection: AsyncConnection, workspace: str) -> list[SealedSecret]:
    """All secrets of a workspace, newest first."""
    return await _secrets(connection, signing_secrets.c.workspace == workspace)


async def reseal(
    connection: AsyncConnection, secret_id: str, *, sealed: bytes, sealed_with: str
) -> None:
    """Store the same secret sealed with another key. Gateways need not read it again."""
    await connection.execute(
        update(signing_secrets)
        .where(signing_secrets.c.id == secret_id)
        .values(sealed=sealed, sealed_with=sealed_with)
    )


async def _secrets(connection: AsyncConnection, which: ColumnElement[bool]) -> list[SealedSecret]:
    # The secret without an end is the newest, even if the clocks of two gateways disagreed.
    order: tuple[ColumnElement[Any], ...] = (
        signing_secrets.c.retires_at.is_not(None),
        signing_secrets.c.created_at.desc(),
        signing_secrets.c.id.desc(),
    )
    rows = await connection.execute(select(signing_secrets).where(which).order_by(*order))
    return [SealedSecret(*row) for row in rows]
