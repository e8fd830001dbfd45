"""Walk a chain from its first entry, or its checkpoint, to its head, and find the first bad entry.

A database writer without a key cannot edit, drop, move or add an entry, edit a column, cut the
end, or forge a head or a checkpoint unnoticed. Only the heads in the log reveal that the end was
cut together with its head, that everything was deleted, or that the chain was started again.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from stores.audit.signatures import START, Checkpoint, Head, Row, Signatures, SignedHead, row_of

Reason = Literal["edited", "missing", "inserted", "cut", "head", "checkpoint", "log"]
SENTENCES: dict[Reason, str] = {
    "edited": "entry {} is not as it was signed (or signed with a key that is not given)",
    "missing": "entry {} is missing",
    "inserted": "another entry was inserted before entry {}",
    "cut": "entry {} existed: the end of the chain was cut",
    "head": "the head is not the one that was signed after entry {}",
    "checkpoint": "the checkpoint at entry {} is not signed (or with a key that is not given)",
    "log": "the head of entry {} in the log is not signed (or with a key that is not given)",
}


class Verified(NamedTuple):
    """`last`: the sequence number of the newest entry; 0 for a chain without entries."""

    workspace: str
    entries: int
    last: int


class Broken(NamedTuple):
    """`seq`: the first bad entry, or the last good one if the head is bad."""

    workspace: str
    seq: int
    reason: Reason

    @property
    def sentence(self) -> str:
        return SENTENCES[self.reason].format(self.seq)


class Position(NamedTuple):
    """Up to which entry a chain was verified, and the MAC of that entry."""

    seq: int
    mac: bytes


class Evidence(NamedTuple):
    """What proves the entries of a chain. `logged`: heads in the log, of any workspace."""

    head: Head | None
    checkpoint: Checkpoint | None = None
    logged: Sequence[SignedHead] = ()


class ChainWalk:
    """One pass over a chain, some rows at a time."""

    def __init__(
        self,
        signatures: Signatures,
        workspace: str,
        evidence: Evidence,
        position: Position | None = None,
    ) -> None:
        """`position`: where an earlier walk ended, which the caller trusts."""
        self._signatures, self.workspace = signatures, workspace
        self._head, self._checkpoint, logged = evidence
        self._logged: dict[int, set[bytes]] = {}
        self._forged: list[int] = []
        for head in logged:
            if head.workspace == workspace:
                self._add_logged(head)
        start = self._checkpoint or Checkpoint(0, START, 0, b"")
        if position is None or position.seq < start.seq:  # retention has passed it
            position = Position(start.seq, start.mac)
        self.seq, self.mac = position
        self._entries = 0

    def _add_logged(self, head: SignedHead) -> None:
        if self._signatures.verify_logged_head(head):
            self._logged.setdefault(head.seq, set()).add(head.mac)
        else:
            self._forged.append(head.seq)

    @property
    def position(self) -> Position:
        return Position(self.seq, self.mac)

    def begin(self) -> Broken | None:
        """Check the checkpoint; None if it is good. `check` does the same with rows."""
        if self._checkpoint and not self._signatures.verify_checkpoint(
            self.workspace, self._checkpoint
        ):
            return self._broken(self.seq, "checkpoint")
        return self._check_logged()

    def check(self, rows: Iterable[Row]) -> Broken | None:
        for row in rows:
            if broken := self._step(row):
                return broken
        return None

    def end(self) -> Verified | Broken:
        """Check the head and the log after the last row; the result of the walk."""
        if self._head is None and (self.seq or self._entries):
            return self._broken(self.seq, "head")
        if self._head and (broken := self._check_head(self._head)):
            return broken
        if any(seq > self.seq for seq in self._logged):
            return self._broken(self.seq + 1, "cut")
        if self._forged:
            return self._broken(min(self._forged), "log")
        return Verified(self.workspace, self._entries, self.seq)

    def _step(self, row: Row) -> Broken | None:
        expected = self.seq + 1
        # An SQLite column may hold any type.
        if not isinstance(row.seq, int) or row.seq < expected:
            return self._broken(expected, "inserted")
        if row.seq > expected:
            return self._broken(expected, "missing")
        if not self._as_signed(row):
            return self._broken(expected, "edited")
        self.seq, self.mac = row.seq, row.mac
        self._entries += 1
        return self._check_logged()

    def _as_signed(self, row: Row) -> bool:
        if not (isinstance(row.entry, str) and isinstance(row.mac, bytes)):
            return False
        if not self._signatures.verify_entry(self.mac, row.entry, row.mac):
            return False
        try:
            recorded = row.recorded
        except msgspec.DecodeError:  # another version signed a text that this one cannot decode
            return False
        place = (self.workspace, row.seq, recorded.source)
        here = (recorded.workspace, recorded.seq) == place[:2]
        return here and row == row_of(recorded, place, row.entry, row.mac)

    def _check_logged(self) -> Broken | None:
        """If the log has another entry here, the chain was cut before it and continued."""
        seen = self._logged.get(self.seq, {self.mac})
        return None if seen == {self.mac} else self._broken(self.seq, "cut")

    def _check_head(self, head: Head) -> Broken | None:
        if not self._signatures.verify_head(self.workspace, head):
            return self._broken(self.seq, "head")
        if head.seq > self.seq:
            return self._broken(self.seq + 1, "cut")
        if (head.seq, head.mac) != (self.seq, self.mac):
            return self._broken(head.seq, "head")
        return None

    def _broken(self, seq: int, reason: Reason) -> Broken:
        return Broken(self.workspace, seq, reason)
