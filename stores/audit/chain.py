"""The audit chain: the HMAC of each entry covers the HMAC before it and its own text.

A database writer without a key cannot change, move or drop an entry unnoticed. Only the heads in
the log reveal a chain that was restored to an older head.
"""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.audit.signatures import START, Head, Recorded, Row, Signatures, row_of
from stores.audit_entries import Entry
from stores.sql import runs
from stores.sql.dialects import upsert
from stores.sql.tables import audit, audit_checkpoints, audit_heads

# Sources in one statement: SQLite binds 32,766 values, PostgreSQL 32,767.
AT_ONCE = 1000


class BrokenChain(Exception):
    """The chain is not as it was signed. An append would sign what was changed."""

    def __init__(self, workspace: str) -> None:
        super().__init__(f"the audit chain of {workspace!r} is broken: run `relay audit verify`")
        self.workspace = workspace


class Chain(Signatures):
    async def append(
        self, connection: AsyncConnection, workspace: str, entries: Sequence[tuple[str, Entry]]
    ) -> int:
        """Append the entries whose sources are new, in order. Returns how many there were.

        Call it last in a transaction, because the head stays locked until that ends. A transaction
        that appends to several workspaces takes them by name, to avoid deadlocks. Raises
        BrokenChain.
        """
        if not entries:
            return 0
        head = await self.locked_head(connection, workspace)
        head = head or await self._start(connection, workspace)
        fresh = await _fresh(connection, workspace, entries)
        if not fresh:
            return 0
        rows = self._rows(workspace, head, fresh)
        try:
            await connection.execute(insert(audit), [row._asdict() for row in rows])
        except IntegrityError as error:  # rows exist after the head
            raise BrokenChain(workspace) from error
        await runs.record(connection, workspace, fresh.values())
        moved = self.head(workspace, rows[-1].seq, rows[-1].mac)
        its_head = audit_heads.c.workspace == workspace
        await connection.execute(update(audit_heads).where(its_head).values(moved._asdict()))
        return len(fresh)

    async def locked_head(self, connection: AsyncConnection, workspace: str) -> Head | None:
        """The head, locked until the transaction ends. Raises BrokenChain."""
        query = select(audit_heads).where(audit_heads.c.workspace == workspace)
        row = (await connection.execute(query.with_for_update())).one_or_none()
        head = Head(*row[1:]) if row else None
        if head and not self.verify_head(workspace, head):
            raise BrokenChain(workspace)
        return head

    async def _start(self, connection: AsyncConnection, workspace: str) -> Head:
        """The head before the first entry, or after the first entry of a concurrent append."""
        first = self.head(workspace, 0, START)
        insert = upsert(connection, audit_heads).values(workspace=workspace, **first._asdict())
        await connection.execute(insert.on_conflict_do_nothing())
        head = await self.locked_head(connection, workspace)
        if head is None or (head == first and await started(connection, workspace)):
            raise BrokenChain(workspace)  # the head was removed
        return head

    def _rows(self, workspace: str, head: Head, entries: dict[str, Entry]) -> list[Row]:
        rows, mac = [], head.mac
        for seq, (source, entry) in enumerate(entries.items(), head.seq + 1):
            fields = msgspec.structs.asdict(entry)
            recorded = Recorded(workspace=workspace, seq=seq, source=source, **fields)
            text = msgspec.json.encode(recorded).decode()
            mac = self.mac(mac, text)
            rows.append(row_of(recorded, text, mac))
        return rows


async def _fresh(
    connection: AsyncConnection, workspace: str, entries: Iterable[tuple[str, Entry]]
) -> dict[str, Entry]:
    fresh: dict[str, Entry] = {}
    for source, entry in entries:
        fresh.setdefault(source, entry)
    sources = list(fresh)
    for start in range(0, len(sources), AT_ONCE):
        query = audit.c.source.in_(sources[start : start + AT_ONCE])
        known = select(audit.c.source).where(audit.c.workspace == workspace, query)
        for source in (await connection.execute(known)).scalars():
            del fresh[source]
    return fresh


async def started(connection: AsyncConnection, workspace: str) -> bool:
    """Whether the chain has an entry or a checkpoint, and so must have a head."""
    entries = exists().where(audit.c.workspace == workspace)
    checkpoint = exists().where(audit_checkpoints.c.workspace == workspace)
    return bool((await connection.execute(select(or_(entries, checkpoint)))).scalar())
