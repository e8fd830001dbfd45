"""Signing secrets of workspaces, sealed: what they are only the holder of the key can tell.

At any moment one secret of a workspace has no end, the newest; those before it
overlap with it for a while, so that receivers have time to learn the new one.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.tables import signing_secrets
from stores.sql.workspaces import bump, lock


class SealedSecret(NamedTuple):
    """Times are epoch milliseconds. `sealed_with`: the id of the key that opens it."""

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
    """Those before it retire after the overlap, unless earlier. Raises IntegrityError for an id
    that is taken, or a workspace that is not there.
    """
    # Two at once would otherwise each leave the other without an end.
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
    """Of all workspaces, those not retired, newest first."""
    retires = signing_secrets.c.retires_at
    return await _secrets(connection, or_(retires.is_(None), retires > now_ms))


async def list_all(connection: AsyncConnection, workspace: str) -> list[SealedSecret]:
    """All of a workspace, newest first."""
    return await _secrets(connection, signing_secrets.c.workspace == workspace)


async def reseal(
    connection: AsyncConnection, secret_id: str, *, sealed: bytes, sealed_with: str
) -> None:
    """Under another key, the same secret: gateways need not read again."""
    await connection.execute(
        update(signing_secrets)
        .where(signing_secrets.c.id == secret_id)
        .values(sealed=sealed, sealed_with=sealed_with)
    )


async def _secrets(connection: AsyncConnection, which: ColumnElement[bool]) -> list[SealedSecret]:
    # The one without an end is the newest, whatever the clocks of two gateways said.
    order: tuple[ColumnElement[Any], ...] = (
        signing_secrets.c.retires_at.is_not(None),
        signing_secrets.c.created_at.desc(),
        signing_secrets.c.id.desc(),
    )
    rows = await connection.execute(select(signing_secrets).where(which).order_by(*order))
    return [SealedSecret(*row) for row in rows]
