"""Verify a whole chain in the database, a page at a time, in one snapshot."""

from collections.abc import Callable, Sequence

from stores.audit.pages import Selection, rows_after
from stores.audit.signatures import Checkpoint, Head, Signatures, SignedHead
from stores.audit.walk import Broken, ChainWalk, Evidence, Position, Verified
from stores.sql.database import Database
from stores.sql.drivers.connection import Connection
from stores.sql.tables import CHECKPOINTS, HEADS

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
        walk = ChainWalk(signatures, workspace, await _evidence(connection, workspace, heads))
        return await _walk(connection, walk, None, progress, page)


async def resume(
    database: Database,
    signatures: Signatures,
    workspace: str,
    position: Position | None,
    *,
    page: int = PAGE,
) -> tuple[Verified | Broken, Position]:
    """Verify what follows a position, and return where the next call goes on.

    Raises DatabaseUnavailable.
    """
    async with database.connect() as connection:
        evidence = await _evidence(connection, workspace, ())
        walk = ChainWalk(signatures, workspace, evidence, position)
        found = await _walk(connection, walk, walk.seq, bool, page)
        return found, walk.position


async def _walk(
    connection: Connection,
    walk: ChainWalk,
    after: int | None,
    progress: Callable[[int], object],
    page: int,
) -> Verified | Broken:
    if broken := walk.begin():
        return broken
    chosen = Selection(walk.workspace)
    while rows := await rows_after(connection, chosen, after, limit=page):
        if broken := walk.check(rows):
            return broken
        progress(len(rows))
        after = rows[-1].seq
    return walk.end()


async def _evidence(
    connection: Connection, workspace: str, logged: Sequence[SignedHead]
) -> Evidence:
    rows = await connection.fetch(HEADS.select + "WHERE workspace = $1", workspace)
    head = Head(*rows[0][1:]) if rows else None
    return Evidence(head, await checkpoint(connection, workspace), logged)


async def checkpoint(connection: Connection, workspace: str) -> Checkpoint | None:
    rows = await connection.fetch(CHECKPOINTS.select + "WHERE workspace = $1", workspace)
    return Checkpoint(*rows[0][1:]) if rows else None
