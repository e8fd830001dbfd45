"""The audit chain: the HMAC of each entry covers the HMAC before it and its own text.

A database writer without a key cannot change, move or drop an entry unnoticed. Only the heads in
the log reveal a chain that was restored to an older head.
"""

from collections.abc import Iterable, Sequence

import msgspec

from stores.audit.signatures import START, Head, Row, Signatures, row_of
from stores.audit_entries import Entry
from stores.sql import approvals, runs
from stores.sql.drivers.connection import Connection
from stores.sql.drivers.errors import IntegrityError
from stores.sql.tables import AUDIT, HEADS

HEAD = "SELECT seq, mac, signature FROM audit_heads WHERE workspace = $1"


class BrokenChain(Exception):
    """The chain is not as it was signed. An append would sign what was changed."""

    def __init__(self, workspace: str) -> None:
        super().__init__(f"the audit chain of {workspace!r} is broken: run `relay audit verify`")
        self.workspace = workspace


class HeadLocked(Exception):
    """Another transaction appends to the chain."""


class Chain(Signatures):
    async def append(
        self,
        connection: Connection,
        workspace: str,
        entries: Sequence[tuple[str, Entry]],
        *,
        wait: bool = True,
    ) -> int:
        """Append the entries whose sources are new, in order. Returns how many there were.

        Call it last in a transaction, because the head stays locked until that ends. A transaction
        that appends to several workspaces takes them by name, to avoid deadlocks. Raises
        BrokenChain; and HeadLocked on PostgreSQL, unless it may `wait`.
        """
        if not entries:
            return 0
        head = await self.locked_head(connection, workspace, wait=wait)
        head = head or await self._start(connection, workspace)
        fresh = await _fresh(connection, workspace, entries)
        if not fresh:
            return 0
        await self._insert(connection, workspace, self._rows(workspace, head, fresh))
        await runs.record(connection, workspace, fresh.values())
        numbered = enumerate(fresh.values(), head.seq + 1)
        await approvals.record(connection, workspace, numbered)
        return len(fresh)

    async def _insert(self, connection: Connection, workspace: str, rows: Sequence[Row]) -> None:
        """Insert the rows and move the head behind them. Raises BrokenChain."""
        try:
            await connection.insert(AUDIT, rows)
        except IntegrityError as error:  # rows exist after the head
            raise BrokenChain(workspace) from error
        head = self.head(workspace, rows[-1].seq, rows[-1].mac)
        await connection.execute(
            "UPDATE audit_heads SET seq = $2, mac = $3, signature = $4 WHERE workspace = $1",
            workspace,
            *head,
        )

    async def locked_head(
        self, connection: Connection, workspace: str, *, wait: bool = True
    ) -> Head | None:
        """The head, locked until the transaction ends. Raises BrokenChain; and HeadLocked, unless
        it may `wait` for another transaction.
        """
        locking = " FOR UPDATE" if wait else " FOR UPDATE SKIP LOCKED"
        rows = await connection.fetch(HEAD + locking, workspace)
        if not rows and not wait and await connection.fetch(HEAD, workspace):
            raise HeadLocked
        return self._verified(workspace, rows)

    async def read_head(self, connection: Connection, workspace: str) -> Head | None:
        """The head as it was committed last. Raises BrokenChain."""
        return self._verified(workspace, await connection.fetch(HEAD, workspace))

    def _verified(self, workspace: str, rows: Sequence[tuple[int, bytes, bytes]]) -> Head | None:
        head = Head(*rows[0]) if rows else None
        if head and not self.verify_head(workspace, head):
            raise BrokenChain(workspace)
        return head

    async def _start(self, connection: Connection, workspace: str) -> Head:
        """The head before the first entry, or after the first entry of a concurrent append."""
        first = self.head(workspace, 0, START)
        await connection.insert(HEADS, [(workspace, *first)], "ON CONFLICT DO NOTHING")
        head = await self.locked_head(connection, workspace)
        if head is None or (head == first and await _started(connection, workspace)):
            raise BrokenChain(workspace)  # the head was removed
        return head

    def _rows(self, workspace: str, head: Head, entries: dict[str, Entry]) -> list[Row]:
        rows, mac, name = [], head.mac, msgspec.json.encode(workspace)
        for seq, (source, entry) in enumerate(entries.items(), head.seq + 1):
            # As `Recorded` is encoded: its own fields are behind those of the entry.
            last = b',"workspace":%b,"seq":%d,"source":%b}' % (
                name,
                seq,
                msgspec.json.encode(source),
            )
            text = (msgspec.json.encode(entry)[:-1] + last).decode()
            mac = self.mac(mac, text)
            rows.append(row_of(entry, (workspace, seq, source), text, mac))
        return rows


async def _fresh(
    connection: Connection, workspace: str, entries: Iterable[tuple[str, Entry]]
) -> dict[str, Entry]:
    fresh: dict[str, Entry] = {}
    for source, entry in entries:
        fresh.setdefault(source, entry)
    known = "SELECT source FROM audit WHERE workspace = $1 AND source = ANY($2)"
    for (source,) in await connection.fetch(known, workspace, [*fresh]):
        del fresh[source]
    return fresh


async def _started(connection: Connection, workspace: str) -> bool:
    """Whether the chain has an entry or a checkpoint, and so must have a head."""
    query = "SELECT workspace FROM {} WHERE workspace = $1 LIMIT 1"
    entry = await connection.fetch(query.format("audit"), workspace)
    return bool(entry or await connection.fetch(query.format("audit_checkpoints"), workspace))
