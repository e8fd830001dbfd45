"""Read heads of audit chains from a log: lines of the event `audit.head`."""

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
import msgspec

if TYPE_CHECKING:
    from stores.audit.signatures import SignedHead

# What bytes that are no UTF-8 are read as; no name of a workspace can hold it.
REPLACEMENT = "\ufffd"
EVENT, WRAPPED_EVENT = '"audit.head"', r"\"audit.head\""


class Line(msgspec.Struct):
    """`mac`, `signature`: hex. `signed_at`: epoch milliseconds."""

    event: Literal["audit.head"]
    workspace: str
    seq: int
    mac: str
    signed_at: int
    signature: str


class Wrapped(msgspec.Struct):
    """A line as log drivers wrap it: Docker's json-file, `journalctl -o json`."""

    log: str = ""
    message: str = msgspec.field(name="MESSAGE", default="")


class Heads(NamedTuple):
    """`unreadable`: how many heads were cut off or damaged."""

    found: "list[SignedHead]"
    unreadable: int


def logged(lines: Iterable[str], named: Collection[str]) -> "list[SignedHead]":
    """The heads of the named workspaces, or all. Raises BadParameter if there are none.

    Without heads a truncated chain looks whole; a caller that gives a log expects more than that.
    """
    read, unreadable = heads(lines)
    found = [head for head in read if not named or head.workspace in named]
    whose = f" of {', '.join(named)}" if named else ""
    said = f"the log has {len(found)} readable heads{whose} and {unreadable} unreadable ones"
    if not found:
        raise click.BadParameter(f"{said}.", param_hint="--heads")
    if unreadable:
        click.echo(f"Warning: {said}.", err=True)
    return found


def heads(lines: Iterable[str]) -> Heads:
    """The heads in a log, which may hold other lines and a prefix on each."""
    found, unreadable = [], 0
    for line in lines:
        try:
            if EVENT in line:
                found.append(_head(line))
            elif WRAPPED_EVENT in line:
                found.append(_head(_unwrapped(line)))
        except (ValueError, RecursionError, msgspec.DecodeError):
            unreadable += 1
    return Heads(found, unreadable)


def _unwrapped(text: str) -> str:
    wrapped = msgspec.json.decode(_object(text), type=Wrapped)
    return wrapped.log or wrapped.message


def _object(text: str) -> str:
    """The text from the start of its JSON on."""
    found = re.search(r'\{\s*"', text)
    return text[found.start() :] if found else ""


def _head(text: str) -> "SignedHead":
    from stores.audit.signatures import SignedHead

    line = msgspec.json.decode(_object(text), type=Line)
    if REPLACEMENT in line.workspace:
        raise ValueError("bytes of the log that are no UTF-8")
    mac, signature = bytes.fromhex(line.mac), bytes.fromhex(line.signature)
    return SignedHead(line.workspace, line.seq, mac, line.signed_at, signature)
