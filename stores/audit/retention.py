"""Remove entries whose retention is over, so that the rest of a chain still verifies.

Each removal writes a signed checkpoint in the same transaction. Entries are verified first, so
that no edited entry or time is removed unnoticed. The newest entry always stays.
"""

from stores.audit.chain import BrokenChain, Chain
from stores.audit.pages import Selection, rows_after
from stores.audit.signatures import Checkpoint, Row
from stores.audit.verify import checkpoint
from stores.audit.walk import ChainWalk, Evidence
from stores.sql.database import Database
from stores.sql.drivers.connection import Connection
from stores.sql.tables import CHECKPOINTS

# Appends wait while a batch is removed.
BATCH = 1000


async def remove_before(
    database: Database,
    chain: Chain,
    workspace: str,
    *,
    cutoff_ms: int,
    now_ms: int,
    batch: int = BATCH,
) -> int:
    """Remove entries before the cutoff, and runs and approvals that have ended. Returns the number
    of entries.

    Stops at the first younger entry. Raises BrokenChain and DatabaseUnavailable.
    """
    removed = 0
    while True:
        async with database.begin() as connection:
            old = await _old(connection, chain, workspace, cutoff_ms=cutoff_ms, limit=batch)
            if old:
                last = chain.checkpoint(workspace, old[-1].seq, old[-1].mac, now_ms)
                await _remove_until(connection, workspace, last)
        removed += len(old)
        if len(old) < batch:
            break
    await _remove_rows(database, workspace, RUNS_GONE, cutoff_ms, batch)
    await _remove_rows(database, workspace, APPROVALS_GONE, cutoff_ms, batch)
    return removed


async def _old(
    connection: Connection, chain: Chain, workspace: str, *, cutoff_ms: int, limit: int
) -> list[Row]:
    # Lock the head only if there is something to remove, because mostly there is not.
    extremes = "SELECT min(at), max(at) FROM audit WHERE workspace = $1"
    [(oldest, newest)] = await connection.fetch(extremes, workspace)
    # An SQLite column may hold any type, and text is greater than any number.
    if oldest is None or (isinstance(newest, int) and oldest >= cutoff_ms):
        return []
    head = await chain.locked_head(connection, workspace)
    if head is None:
        raise BrokenChain(workspace)
    walk = ChainWalk(chain, workspace, Evidence(head, await checkpoint(connection, workspace)))
    if walk.begin():
        raise BrokenChain(workspace)
    old: list[Row] = []
    for row in await rows_after(connection, Selection(workspace), None, limit=limit):
        if walk.check([row]):
            raise BrokenChain(workspace)
        if row.at >= cutoff_ms or row.seq >= head.seq:
            break
        old.append(row)
    return old


async def _remove_until(connection: Connection, workspace: str, last: Checkpoint) -> None:
    gone = "DELETE FROM audit WHERE workspace = $1 AND seq <= $2"
    await connection.execute(gone, workspace, last.seq)
    await connection.insert(
        CHECKPOINTS,
        [(workspace, *last)],
        "ON CONFLICT (workspace) DO UPDATE SET seq = excluded.seq, mac = excluded.mac, "
        "removed_at = excluded.removed_at, signature = excluded.signature",
    )


RUNS_GONE = (
    "DELETE FROM runs WHERE workspace = $1 AND run_id IN (SELECT run_id FROM runs "
    "WHERE workspace = $1 AND started_at < $2 AND status <> 'running' LIMIT $3)"
)
APPROVALS_GONE = (
    "DELETE FROM approvals WHERE workspace = $1 AND preview_id IN (SELECT preview_id "
    "FROM approvals WHERE workspace = $1 AND requested_at < $2 LIMIT $3)"
)


async def _remove_rows(
    database: Database, workspace: str, statement: str, cutoff_ms: int, batch: int
) -> None:
    gone = batch
    while gone == batch:
        async with database.begin() as connection:
            gone = await connection.execute(statement, workspace, cutoff_ms, batch)
