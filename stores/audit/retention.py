"""Remove entries whose retention is over, so that the rest of a chain still verifies.

Each removal writes a signed checkpoint in the same transaction. Entries are verified first, so
that no edited entry or time is removed unnoticed. The newest entry always stays.
"""

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.audit.chain import BrokenChain, Chain
from stores.audit.pages import rows_after, select_entries
from stores.audit.signatures import Checkpoint, Row
from stores.audit.verify import checkpoint
from stores.audit.walk import ChainWalk, Evidence
from stores.sql.database import Database
from stores.sql.dialects import upsert
from stores.sql.tables import audit, audit_checkpoints, runs

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
    """Remove entries before the cutoff, and runs that have ended. Returns the number of entries.

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
    await _remove_runs(database, workspace, cutoff_ms, batch)
    return removed


async def _old(
    connection: AsyncConnection, chain: Chain, workspace: str, *, cutoff_ms: int, limit: int
) -> list[Row]:
    # Lock the head only if there is something to remove, because mostly there is not.
    times = (
        select(extreme(audit.c.at)).where(audit.c.workspace == workspace).scalar_subquery()
        for extreme in (func.min, func.max)
    )
    oldest, newest = (await connection.execute(select(*times))).one()
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
    for row in await rows_after(connection, select_entries(workspace), None, limit=limit):
        if walk.check([row]):
            raise BrokenChain(workspace)
        if row.at >= cutoff_ms or row.seq >= head.seq:
            break
        old.append(row)
    return old


async def _remove_until(connection: AsyncConnection, workspace: str, last: Checkpoint) -> None:
    gone = delete(audit).where(audit.c.workspace == workspace, audit.c.seq <= last.seq)
    await connection.execute(gone)
    insert = upsert(connection, audit_checkpoints).values(workspace=workspace, **last._asdict())
    moved = insert.on_conflict_do_update(index_elements=["workspace"], set_=last._asdict())
    await connection.execute(moved)


async def _remove_runs(database: Database, workspace: str, cutoff_ms: int, batch: int) -> None:
    ours = runs.c.workspace == workspace
    old = select(runs.c.run_id).where(
        ours, runs.c.started_at < cutoff_ms, runs.c.status != "running"
    )
    gone = batch
    while gone == batch:
        async with database.begin() as connection:
            statement = delete(runs).where(ours, runs.c.run_id.in_(old.limit(batch)))
            gone = (await connection.execute(statement)).rowcount
