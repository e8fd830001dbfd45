"""Heads of audit chains as the log has them: lines of the event `audit.head`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from stores.sql.signed import SignedHead


class Line(msgspec.Struct):
    """`mac`, `signature`: hex. `signed_at`: epoch milliseconds."""

    event: Literal["audit.head"]
    workspace: str
    seq: int
    mac: str
    signed_at: int
    signature: str


class Heads(NamedTuple):
    """`unreadable`: how many were cut off or spoilt; less is known without them."""

    found: "list[SignedHead]"
    unreadable: int


def heads(lines: Iterable[str]) -> Heads:
    """Those in a log, whatever else is in it or stands before a line."""
    found, unreadable = [], 0
    for line in lines:
        if '"audit.head"' not in line:
            continue
        try:
            found.append(_head(msgspec.json.decode(line[line.find("{") :], type=Line)))
        except (ValueError, msgspec.DecodeError):
            unreadable += 1
    return Heads(found, unreadable)


def _head(line: Line) -> "SignedHead":
    from stores.sql.signed import SignedHead

    mac, signature = bytes.fromhex(line.mac), bytes.fromhex(line.signature)
    return SignedHead(line.workspace, line.seq, mac, line.signed_at, signature)
