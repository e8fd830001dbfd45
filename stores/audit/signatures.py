"""Sign and verify entries of the audit, heads and checkpoints.

The signed text is the stored text: JSON with its fields in the order of `Recorded`. Verification
therefore encodes nothing again.
"""

import hmac
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stores.audit_entries import Entry
from stores.sql.tables import AUDIT

# The MAC before the first entry.
START = bytes(32)


class Recorded(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """An entry with its position in the chain."""

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
    """A head as the log contains it. `at`: when it was signed, in epoch milliseconds."""

    workspace: str
    seq: int
    mac: bytes
    at: int
    signature: bytes


class Signatures:
    """`keys`: the first one signs, and all verify. Keep a key as long as the entries it signed.

    Entries, heads, heads in the log and checkpoints each have their own subkey, so that the
    signature of one kind is invalid for another. For the last three the signed text is a JSON
    array.
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

    def verify_entry(self, previous: bytes, text: str, mac: bytes) -> bool:
        return _verify(self._entry, previous + text.encode(), mac)

    def head(self, workspace: str, seq: int, mac: bytes) -> Head:
        return Head(seq, mac, _mac(self._head[0], _signed_text(workspace, seq, mac)))

    def verify_head(self, workspace: str, head: Head) -> bool:
        """Whether a gateway signed this head."""
        return _verify(self._head, _signed_text(workspace, head.seq, head.mac), head.signature)

    def signed_head(self, workspace: str, seq: int, mac: bytes, at: int) -> SignedHead:
        """A head for the log, which proves later that the chain had this entry."""
        signature = _mac(self._logged[0], _signed_text(workspace, seq, mac, at))
        return SignedHead(workspace, seq, mac, at, signature)

    def verify_logged_head(self, head: SignedHead) -> bool:
        text = _signed_text(head.workspace, head.seq, head.mac, head.at)
        return _verify(self._logged, text, head.signature)

    def checkpoint(self, workspace: str, seq: int, mac: bytes, removed_at: int) -> Checkpoint:
        signature = _mac(self._checkpoint[0], _signed_text(workspace, seq, mac, removed_at))
        return Checkpoint(seq, mac, removed_at, signature)

    def verify_checkpoint(self, workspace: str, checkpoint: Checkpoint) -> bool:
        """Whether retention signed this checkpoint."""
        text = _signed_text(workspace, checkpoint.seq, checkpoint.mac, checkpoint.removed_at)
        return _verify(self._checkpoint, text, checkpoint.signature)


def row_of(entry: Entry, place: tuple[str, int, str], text: str, mac: bytes) -> Row:
    """The row of an entry. Columns for filters hold as much of a text as fits.

    `place`: workspace, seq and source.
    """
    return Row(
        *place,
        entry.at,
        AUDIT.fit("event", entry.event),
        AUDIT.fit("action", entry.action),
        AUDIT.fit("status", entry.status),
        AUDIT.fit("principal", entry.principal),
        text,
        mac,
    )


def _subkeys(keys: Sequence[bytes], purpose: bytes) -> list[bytes]:
    return [hmac.digest(key, purpose, "sha256") for key in keys]


def _signed_text(workspace: str, seq: int, mac: bytes, *at: int) -> bytes:
    # An SQLite column may hold any type; null was never signed.
    return msgspec.json.encode([workspace, seq, mac.hex() if isinstance(mac, bytes) else None, *at])


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _verify(keys: Sequence[bytes], message: bytes, mac: bytes) -> bool:
    is_bytes = isinstance(mac, bytes)  # an SQLite column may hold any type
    return is_bytes and any(hmac.compare_digest(_mac(key, message), mac) for key in keys)


_DECODER = msgspec.json.Decoder(Recorded)
