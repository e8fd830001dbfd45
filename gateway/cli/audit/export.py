"""Export the audit as JSON lines, and record in it that it was read."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import click
import msgspec

from gateway.cli.audit.progress import progress
from gateway.timestamps import timestamp
from stores.audit_entries import Entry


class Between(NamedTuple):
    """By the time of the entry, from `since_ms` up to but not including `until_ms`."""

    since_ms: int
    until_ms: int

    def __str__(self) -> str:
        return f"from {timestamp(self.since_ms)} to {timestamp(self.until_ms)}"


class After(NamedTuple):
    """By number. An entry that arrives late has a greater number than those that came before it."""

    seq: int

    def __str__(self) -> str:
        return f"after entry {self.seq}"


class ExportRequest(NamedTuple):
    """`event`: only these; empty for all."""

    export_range: Between | After
    event: tuple[str, ...] = ()

    def __str__(self) -> str:
        only = f" of {', '.join(self.event)}" if self.event else ""
        return f"export{only} {self.export_range}"


def export_range(
    named: Sequence[str], now_ms: int, *, since: int | None, until: int | None, after: int | None
) -> Between | After:
    """The request that the options describe. Raises UsageError."""
    if since is not None and after is None:
        return Between(since, now_ms if until is None else min(until, now_ms))
    if since is not None or after is None:
        raise click.UsageError("Give either --since or --after.")
    if until is not None:
        raise click.UsageError("--until goes with --since: by time, late entries are left out.")
    if len({*named}) != 1:
        raise click.UsageError(
            "--after needs exactly one --workspace, because each workspace counts its own entries."
        )
    return After(after)


if TYPE_CHECKING:
    from stores.audit.chain import Chain
    from stores.audit.pages import Selection
    from stores.audit.signatures import Row
    from stores.sql.database import Database

PAGE = 1000


class Place(NamedTuple):
    """The position of a reading: this many rows `beyond` the entry `seq`.

    Those rows have no whole numbers to go on from; an SQLite column may hold any type.
    """

    seq: int | None = None
    beyond: int = 0

    def past(self, rows: "Sequence[Row]") -> "Place":
        for beyond, row in enumerate(reversed(rows)):
            if isinstance(row.seq, int):
                return Place(row.seq, beyond)
        return Place(self.seq, self.beyond + len(rows))


async def record(
    database: "Database", chain: "Chain", workspace: str, request: ExportRequest, *, now_ms: int
) -> int | None:
    """The number of the last entry before this one.

    None for a broken chain: it can be handed over too, if not with a word of that in it.
    """
    from stores.audit.chain import BrokenChain

    entry = Entry(event="audit.read", at=now_ms, principal="cli", detail=str(request))
    try:
        async with database.begin() as connection:
            head = await chain.locked_head(connection, workspace)
            last = head.seq if head else 0
            if isinstance(request.export_range, After):
                _check(workspace, request.export_range.seq, last)
            await chain.append(connection, workspace, [(f"cli:{uuid4()}", entry)])
            return last
    except BrokenChain as error:
        click.echo(f"Warning: this export is not recorded in the audit: {error}", err=True)
        return None


def _check(workspace: str, after: int, last: int) -> None:
    """A reader that already has more entries must not mistake a cut chain for no news."""
    if after > last:
        raise click.UsageError(
            f"there is no entry {after} in {workspace}: the last one is {last}. "
            "If there was one, the end of the chain was cut"
        )


class Following:
    """Whether each number follows the one before, because a reader must notice a gap."""

    def __init__(self, after: int) -> None:
        self._next = after + 1
        self.missing: int | None = None

    def over(self, rows: "Sequence[Row]") -> None:
        for row in rows:
            if row.seq != self._next and self.missing is None:
                self.missing = self._next
            self._next += 1

    def end(self, last: int) -> None:
        if self.missing is None and self._next <= last:
            self.missing = self._next


async def _removed(database: "Database", chain: "Chain", workspace: str, after: int) -> int:
    """The number of the last entry that retention removed, as it signed it."""
    from stores.audit.verify import checkpoint

    async with database.connect() as connection:
        left = await checkpoint(connection, workspace)
    if left is None or left.seq <= after or not chain.verify_checkpoint(workspace, left):
        return after
    removed = f"entries {after + 1} to {left.seq} were removed"
    click.echo(f"Warning: {removed}, because they are older than AUDIT_RETENTION.", err=True)
    return left.seq


async def hand_over(
    database: "Database",
    chain: "Chain",
    workspace: str,
    request: ExportRequest,
    *,
    last: int | None,
) -> None:
    """Print the entries of the request, oldest first. `last`: the number that `record` returned."""
    if not isinstance(request.export_range, After):
        await _print(database, workspace, request, last)
        return
    following = Following(await _removed(database, chain, workspace, request.export_range.seq))
    await _print(database, workspace, request, last, seen=following.over)
    following.end(last or 0)
    if following.missing and not request.event:
        gone = f"entry {following.missing} is missing"
        click.echo(f"Warning: {gone}: run `relay audit verify`.", err=True)


async def _print(
    database: "Database",
    workspace: str,
    request: ExportRequest,
    last: int | None,
    *,
    seen: "Callable[[Sequence[Row]], object]" = bool,
) -> None:
    from stores.audit.pages import entries_spanned, rows_after

    asked = _asked(workspace, request, last)
    # Where the lines are on a terminal too, they show themselves how it goes on.
    shown = not sys.stdout.isatty()
    async with database.connect() as connection:
        length = await entries_spanned(connection, asked) if shown else 0
    with progress(length, f"Exporting {workspace}", shown=shown) as bar:
        place = Place()
        while True:
            # One transaction a page: the reader of the lines may be slow.
            async with database.connect() as connection:
                rows = await rows_after(connection, asked, place.seq, limit=PAGE, skip=place.beyond)
            if not rows:
                return
            click.echo("\n".join(map(line, rows)))
            seen(rows)
            bar.update(_steps(place, rows))
            place = place.past(rows)


def _asked(workspace: str, request: ExportRequest, last: int | None) -> "Selection":
    from stores.audit.pages import Selection
    from stores.sql.runs import Filter

    match request.export_range:
        case Between(since_ms, until_ms):
            between = Filter(since_ms=since_ms, until_ms=until_ms)
            return Selection(workspace, between, request.event)
        case After(seq):
            # Each reading hands over the entry of the one before it, and no more of itself.
            return Selection(workspace, event=request.event, after=seq, last=last)


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
