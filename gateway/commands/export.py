"""Hand over the audit as JSON lines, and record in it that it was."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import click
import msgspec

from gateway.commands.progress import progress
from gateway.documents import timestamp
from stores.entries import Entry

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from stores.sql.audit import Chain
    from stores.sql.database import Database
    from stores.sql.signed import Row

PAGE = 1000


class Between(NamedTuple):
    """By the time of the entry; `until_ms` is not in."""

    since_ms: int
    until_ms: int

    def __str__(self) -> str:
        return f"from {timestamp(self.since_ms)} to {timestamp(self.until_ms)}"


class After(NamedTuple):
    """By number; an entry that comes late has a greater one than those that came before it."""

    seq: int

    def __str__(self) -> str:
        return f"after entry {self.seq}"


class Wanted(NamedTuple):
    """`event`: one of these, none for any."""

    stretch: Between | After
    event: tuple[str, ...] = ()

    def __str__(self) -> str:
        only = f" of {', '.join(self.event)}" if self.event else ""
        return f"export{only} {self.stretch}"


def stretch(
    named: Sequence[str], now_ms: int, *, since: int | None, until: int | None, after: int | None
) -> Between | After:
    """What the options come to. Raises UsageError."""
    if since is not None and after is None:
        return Between(since, now_ms if until is None else min(until, now_ms))
    if since is not None or after is None:
        raise click.UsageError("Give one of --since and --after.")
    if until is not None:
        raise click.UsageError("--until goes with --since: by time, late entries are left out.")
    if len({*named}) != 1:
        raise click.UsageError("--after takes exactly one --workspace: each counts its own.")
    return After(after)


class Place(NamedTuple):
    """Where a reading has come to: so many rows `beyond` the entry `seq`.

    Those have no whole numbers to go on from; SQLite keeps in a column whatever it is given.
    """

    seq: int | None = None
    beyond: int = 0

    def past(self, rows: "Sequence[Row]") -> "Place":
        for beyond, row in enumerate(reversed(rows)):
            if isinstance(row.seq, int):
                return Place(row.seq, beyond)
        return Place(self.seq, self.beyond + len(rows))


async def record(
    database: "Database", chain: "Chain", workspace: str, wanted: Wanted, *, now_ms: int
) -> int | None:
    """The number of the last entry before this one.

    None for a broken chain: it can be handed over too, if not with a word of that in it.
    """
    from stores.sql.audit import BrokenChain

    entry = Entry(event="audit.read", at=now_ms, principal="cli", detail=str(wanted))
    try:
        async with database.begin() as connection:
            head = await chain.locked_head(connection, workspace)
            last = head.seq if head else 0
            if isinstance(wanted.stretch, After):
                await _check(connection, workspace, wanted.stretch.seq, last)
            await chain.append(connection, workspace, [(f"cli:{uuid4()}", entry)])
            return last
    except BrokenChain as error:
        click.echo(f"Warning: this reading is not recorded: {error}", err=True)
        return None


async def _check(connection: "AsyncConnection", workspace: str, after: int, last: int) -> None:
    """Who goes on must not take what is missing for news that did not come.

    Raises UsageError where he had more than there is.
    """
    from stores.sql.pages import count
    from stores.sql.verify import checkpoint

    if after > last:
        raise click.UsageError(
            f"there is no entry {after} in {workspace}: the last one is {last}. "
            "If there was one, the end of the chain was cut"
        )
    left = await checkpoint(connection, workspace)
    removed = max(after, left.seq if left else 0)
    if removed > after:
        gone = f"entries {after + 1} to {removed} were too old, and are removed (AUDIT_RETENTION)"
        click.echo(f"Warning: {gone}.", err=True)
    if missing := last - removed - await count(connection, workspace, removed, last):
        gone = f"{missing} of the entries {removed + 1} to {last} are missing"
        click.echo(f"Warning: {gone}: run `relay audit verify`.", err=True)


async def hand_over(
    database: "Database", workspace: str, wanted: Wanted, *, last: int | None
) -> None:
    """Print what is wanted, oldest first, however much it is. `last`: of what `record` said."""
    from stores.sql.pages import following, span

    asked = _asked(workspace, wanted, last)
    # Where the lines are on a terminal too, they show themselves how it goes on.
    shown = not sys.stdout.isatty()
    async with database.connect() as connection:
        length = await span(connection, asked) if shown else 0
    with progress(length, f"Exporting {workspace}", shown=shown) as bar:
        place = Place()
        while True:
            # A transaction a page: whoever reads our lines may take his time.
            async with database.connect() as connection:
                beyond = asked.offset(place.beyond)
                rows = await following(connection, beyond, place.seq, limit=PAGE)
            if not rows:
                return
            click.echo("\n".join(map(line, rows)))
            bar.update(_steps(place, rows))
            place = place.past(rows)


def _asked(workspace: str, wanted: Wanted, last: int | None) -> "Select[Any]":
    from stores.sql.pages import Filter, chosen
    from stores.sql.tables import audit

    match wanted.stretch:
        case Between(since_ms, until_ms):
            between = Filter(since_ms=since_ms, until_ms=until_ms)
            return chosen(workspace, between, wanted.event)
        case After(seq):
            later = chosen(workspace, event=wanted.event).where(audit.c.seq > seq)
            # Each reading hands over the entry of the one before it, and no more of itself.
            return later if last is None else later.where(audit.c.seq <= last)


def _steps(place: Place, rows: "Sequence[Row]") -> int:
    numbers = [row.seq for row in rows if isinstance(row.seq, int)]
    if not numbers:
        return 0
    return numbers[-1] - (numbers[0] - 1 if place.seq is None else place.seq)


def line(row: "Row") -> str:
    """The entry with its HMAC; as text where it is no JSON any more."""
    try:
        entry = msgspec.json.decode(row.entry, type=dict[str, Any])
    except (ValueError, RecursionError, msgspec.DecodeError):
        entry = {"workspace": row.workspace, "seq": row.seq, "unreadable": str(row.entry)}
    mac = row.mac.hex() if isinstance(row.mac, bytes) else str(row.mac)
    return msgspec.json.encode({**entry, "mac": mac}).decode()
