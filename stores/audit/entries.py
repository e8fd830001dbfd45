"""Read single entries of a chain, each verified with the MAC before it.

A database writer without a key cannot make such an entry, nor move one to another place.
"""

from collections.abc import Sequence

import msgspec

from stores.audit.chain import BrokenChain
from stores.audit.signatures import START, Recorded, Row, Signatures, row_of
from stores.audit.verify import checkpoint
from stores.sql.drivers.connection import Connection
from stores.sql.tables import AUDIT


async def by_source(
    connection: Connection, signatures: Signatures, workspace: str, sources: Sequence[str]
) -> list[Recorded]:
    """The entries with these sources, in order. Raises BrokenChain."""
    which = "WHERE workspace = $1 AND source = ANY($2) ORDER BY seq"
    found = await connection.fetch(AUDIT.select + which, workspace, [*sources])
    return await _verified(connection, signatures, workspace, [Row(*row) for row in found])


async def by_seq(
    connection: Connection, signatures: Signatures, workspace: str, seqs: Sequence[int]
) -> list[Recorded]:
    """The entries with these numbers, in order. Raises BrokenChain, also if one is missing."""
    found = await _rows(connection, workspace, seqs)
    if [row.seq for row in found] != sorted(set(seqs)):
        raise BrokenChain(workspace)
    return await _verified(connection, signatures, workspace, found)


async def _rows(connection: Connection, workspace: str, seqs: Sequence[int]) -> list[Row]:
    which = "WHERE workspace = $1 AND seq = ANY($2) ORDER BY seq"
    rows = await connection.fetch(AUDIT.select + which, workspace, [*seqs])
    return [Row(*row) for row in rows]


async def _verified(
    connection: Connection, signatures: Signatures, workspace: str, rows: Sequence[Row]
) -> list[Recorded]:
    before = {0: START}
    if cut := await checkpoint(connection, workspace):
        before[cut.seq] = cut.mac
    for row in await _rows(connection, workspace, [row.seq - 1 for row in rows]):
        before[row.seq] = row.mac
    for row in rows:
        if not _as_signed(signatures, workspace, row, before.get(row.seq - 1, b"")):
            raise BrokenChain(workspace)
    return [row.recorded for row in rows]


def _as_signed(signatures: Signatures, workspace: str, row: Row, before: bytes) -> bool:
    if not signatures.verify_entry(before, row.entry, row.mac):
        return False
    try:
        recorded = row.recorded
    except msgspec.DecodeError:
        return False
    place = (workspace, row.seq, recorded.source)
    return row == row_of(recorded, place, row.entry, row.mac)
