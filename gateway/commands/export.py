"""Hand over the audit as JSON lines, and record in it that it was."""

import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import click
import msgspec

from gateway.commands.progress import progress
from gateway.documents import timestamp
from stores.entries import Entry

if TYPE_CHECKING:
    from stores.sql.audit import Chain
    from stores.sql.database import Database
    from stores.sql.signed import Row

PAGE = 1000


class Wanted(NamedTuple):
    """`until_ms` is not in; `event`: one of these, none for any."""

    since_ms: int
    until_ms: int
    event: tuple[str, ...] = ()

    def __str__(self) -> str:
        only = f" of {', '.join(self.event)}" if self.event else ""
        return f"export{only} from {timestamp(self.since_ms)} to {timestamp(self.until_ms)}"


async def record(
    database: "Database", chain: "Chain", workspace: str, wanted: Wanted, *, now_ms: int
) -> None:
    """A broken chain can be handed over too, if not with a word of that in it."""
    from stores.sql.audit import BrokenChain

    entry = Entry(event="audit.read", at=now_ms, principal="cli", detail=str(wanted))
    try:
        async with database.begin() as connection:
            await chain.append(connection, workspace, [(f"cli:{uuid4()}", entry)])
    except BrokenChain as error:
        click.echo(f"Warning: this reading is not recorded: {error}", err=True)


async def hand_over(database: "Database", workspace: str, wanted: Wanted) -> None:
    """Print what is wanted, oldest first, however much it is."""
    from stores.sql.pages import Filter, chosen, following, span

    between = Filter(since_ms=wanted.since_ms, until_ms=wanted.until_ms)
    asked = chosen(workspace, between, wanted.event)
    # Where the lines are on a terminal too, they show themselves how it goes on.
    shown = not sys.stdout.isatty()
    async with database.connect() as connection:
        length = await span(connection, asked) if shown else 0
    with progress(length, f"Exporting {workspace}", shown=shown) as bar:
        rows: list[Row] = []
        while True:
            last = rows[-1].seq if rows else None
            # A transaction a page: whoever reads our lines may take his time.
            async with database.connect() as connection:
                rows = await following(connection, asked, last, limit=PAGE)
            if not rows:
                return
            click.echo("\n".join(map(line, rows)))
            bar.update(rows[-1].seq - (rows[0].seq - 1 if last is None else last))


def line(row: "Row") -> str:
    """The entry with its HMAC; as text where it is no JSON any more."""
    try:
        entry = msgspec.json.decode(row.entry, type=dict[str, Any])
    except msgspec.DecodeError:
        entry = {"workspace": row.workspace, "seq": row.seq, "unreadable": str(row.entry)}
    mac = row.mac.hex() if isinstance(row.mac, bytes) else str(row.mac)
    return msgspec.json.encode({**entry, "mac": mac}).decode()
