"""Verify a whole chain in the database, a page at a time, in one snapshot."""

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.audit.pages import rows_after, select_entries
from stores.audit.signatures import Checkpoint, Head, Signatures, SignedHead
from stores.audit.walk import Broken, ChainWalk, Evidence, Verified
from stores.sql.database import Database
from stores.sql.tables import audit_checkpoints, audit_heads

PAGE = 1000


async def verify(
    database: Database,
    signatures: Signatures,
    workspace: str,
    *,
    heads: Sequence[SignedHead] = (),
    progress: Callable[[int], object] = bool,
    page: int = PAGE,
) -> Verified | Broken:
    """Walk the chain and compare it with `heads` from the log. `progress` gets the page sizes.

    Raises DatabaseUnavailable.
    """
    async with database.connect() as connection:  # one snapshot
        evidence = await _evidence(connection, workspace, heads)
        walk = ChainWalk(signatures, workspace, evidence)
        if broken := walk.begin():
            return broken
        last = None
        while rows := await rows_after(connection, select_entries(workspace), last, limit=page):
            if broken := walk.check(rows):
                return broken
            progress(len(rows))
            last = rows[-1].seq
        return walk.end()


async def _evidence(
    connection: AsyncConnection, workspace: str, logged: Sequence[SignedHead]
) -> Evidence:
    its_head = select(audit_heads).where(audit_heads.c.workspace == workspace)
    head = (await connection.execute(its_head)).one_or_none()
    left = await checkpoint(connection, workspace)
    return Evidence(Head(*head[1:]) if head else None, left, logged)


async def checkpoint(connection: AsyncConnection, workspace: str) -> Checkpoint | None:
    query = select(audit_checkpoints).where(audit_checkpoints.c.workspace == workspace)
    found = (await connection.execute(query)).one_or_none()
    return Checkpoint(*found[1:]) if found else None
