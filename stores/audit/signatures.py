"""What the audit keys sign: entries in their places, heads and checkpoints.

The text that is signed is the text that is stored: JSON, its fields in the order of `Recorded`,
so nothing is ever encoded a second time to be checked.
"""

import hmac
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stores.audit_entries import Entry
from stores.sql.dialects import truncate_to
from stores.sql.tables import audit

# What the first entry follows.
START = bytes(32)


class Recorded(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """An entry in its place."""

    workspace: str
    seq: int
    source: str


class Row(NamedTuple):
    """A row of the table `audit`, in the order of its columns."""

    workspace: str
    seq: int
    source: str
    at: int
    event: str
    action: str
    status: str
    principal: str
    entry: str
    mac: bytes

    @property
    def recorded(self) -> Recorded:
        return _DECODER.decode(self.entry)


class Head(NamedTuple):
    """The last entry of a chain."""

    seq: int
    mac: bytes
    signature: bytes


class Checkpoint(NamedTuple):
    """The last entry that retention removed."""

    seq: int
    mac: bytes
    removed_at: int
    signature: bytes


class SignedHead(NamedTuple):
    """A head as the log has it. `at`: epoch milliseconds when it was signed."""

    workspace: str
    seq: int
    mac: bytes
    at: int
    signature: bytes


class Signatures:
    """`keys`: the first signs, each verifies; one that signed is needed while its entries are.

    Entries, heads, heads in the log and checkpoints have subkeys of their own, so that none of
    them passes for another. Of the latter three a JSON array is signed.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a chain needs a key")
        self._entry = _subkeys(keys, b"relay audit entry")
        self._head = _subkeys(keys, b"relay audit head")
        self._logged = _subkeys(keys, b"relay audit logged head")
        self._checkpoint = _subkeys(keys, b"relay audit checkpoint")

    def mac(self, previous: bytes, text: str) -> bytes:
        return _mac(self._entry[0], previous + text.encode())

    def follows(self, previous: bytes, text: str, mac: bytes) -> bool:
        return _made(self._entry, previous + text.encode(), mac)

    def head(self, workspace: str, seq: int, mac: bytes) -> Head:
        return Head(seq, mac, _mac(self._head[0], _signed_text(workspace, seq, mac)))

    def ends(self, workspace: str, head: Head) -> bool:
        """Whether the chain had this head once."""
        return _made(self._head, _signed_text(workspace, head.seq, head.mac), head.signature)

    def signed_head(self, workspace: str, seq: int, mac: bytes, at: int) -> SignedHead:
        """For the log: it shows later that the chain had come this far."""
        signature = _mac(self._logged[0], _signed_text(workspace, seq, mac, at))
        return SignedHead(workspace, seq, mac, at, signature)

    def genuine(self, head: SignedHead) -> bool:
        said = _signed_text(head.workspace, head.seq, head.mac, head.at)
        return _made(self._logged, said, head.signature)

    def checkpoint(self, workspace: str, seq: int, mac: bytes, removed_at: int) -> Checkpoint:
        signature = _mac(self._checkpoint[0], _signed_text(workspace, seq, mac, removed_at))
        return Checkpoint(seq, mac, removed_at, signature)

    def begins(self, workspace: str, checkpoint: Checkpoint) -> bool:
        """Whether retention left this checkpoint once."""
        said = _signed_text(workspace, checkpoint.seq, checkpoint.mac, checkpoint.removed_at)
        return _made(self._checkpoint, said, checkpoint.signature)


def row_of(recorded: Recorded, text: str, mac: bytes) -> Row:
    """The columns for filters hold what of the text they can."""
    return Row(
        workspace=recorded.workspace,
        seq=recorded.seq,
        source=recorded.source,
        at=recorded.at,
        event=truncate_to(audit.c.event, recorded.event),
        action=truncate_to(audit.c.action, recorded.action),
        status=truncate_to(audit.c.status, recorded.status),
        principal=truncate_to(audit.c.principal, recorded.principal),
        entry=text,
        mac=mac,
    )


def _subkeys(keys: Sequence[bytes], purpose: bytes) -> list[bytes]:
    return [hmac.digest(key, purpose, "sha256") for key in keys]


def _signed_text(workspace: str, seq: int, mac: bytes, *at: int) -> bytes:
    # An SQLite column may hold any type; null was never signed.
    return msgspec.json.encode([workspace, seq, mac.hex() if isinstance(mac, bytes) else None, *at])


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _made(keys: Sequence[bytes], message: bytes, mac: bytes) -> bool:
    right_kind = isinstance(mac, bytes)
    return right_kind and any(hmac.compare_digest(_mac(key, message), mac) for key in keys)


_DECODER = msgspec.json.Decoder(Recorded)
