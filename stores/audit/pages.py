"""Read the audit of a workspace: a page at a time, newest first; or in order, for exports."""

from collections.abc import Collection
from typing import NamedTuple

from stores.audit.signatures import Row
from stores.sql.drivers.connection import Conditions, Connection
from stores.sql.runs import Filter, Number, decoded
from stores.sql.tables import AUDIT


class Selection(NamedTuple):
    """Entries of a workspace. `event`: only these events; () for all. `after` and `last`: only
    entries with a greater number than `after`, and with none greater than `last`.
    """

    workspace: str
    filters: Filter = Filter()
    event: Collection[str] = ()
    after: int | None = None
    last: int | None = None

    def conditions(self) -> Conditions:
        conditions = self.filters.conditions(self.workspace, AUDIT, "at")
        conditions.add("event = ANY({})", [*self.event] if self.event else None)
        conditions.add("seq > {}", self.after)
        conditions.add("seq <= {}", self.last)
        return conditions


class AuditPage(NamedTuple):
    """`after`: the cursor of the next page, None on the last one."""

    rows: list[Row]
    after: int | None


async def audit_page(
    connection: Connection, selection: Selection, *, after: int | None = None, limit: int
) -> AuditPage:
    """A page of entries, newest first. `after`: the cursor."""
    which = selection.conditions()
    which.add("seq < {}", after)
    # One more than a page, to know whether there is another page.
    newest = f"{AUDIT.select}WHERE {which.sql} ORDER BY seq DESC LIMIT {limit + 1:d}"
    rows = [Row(*row) for row in await connection.fetch(newest, *which.values)]
    return AuditPage(rows[:limit], rows[limit - 1].seq if len(rows) > limit else None)


def audit_cursor(text: str) -> int:
    """Raises ValueError for text that `encoded` did not make."""
    cursor: int = decoded(text, Number)
    return cursor


async def audited_workspaces(connection: Connection) -> list[str]:
    """The workspaces that have an entry, a checkpoint or a head."""
    rows = await connection.fetch(
        "SELECT workspace FROM audit_heads UNION SELECT workspace FROM audit_checkpoints "
        "UNION SELECT workspace FROM audit"
    )
    # An SQLite column may hold any type.
    return sorted(
        name if isinstance(name, str) else bytes(name).decode(errors="replace") for (name,) in rows
    )


async def entries_spanned(connection: Connection, selection: Selection) -> int:
    """The number of entries from the first to the last that is selected, both included."""
    which = selection.conditions()
    span = f"SELECT min(seq), max(seq) FROM audit WHERE {which.sql}"  # noqa: S608 - values apart
    [(first, last)] = await connection.fetch(span, *which.values)
    # None for no entry; an SQLite column may hold any type.
    return last - first + 1 if isinstance(first, int) and isinstance(last, int) else 0


async def rows_after(
    connection: Connection, selection: Selection, seq: int | None, *, limit: int, skip: int = 0
) -> list[Row]:
    """The next selected rows after `seq`, less the first `skip`; the first ones after None."""
    which = selection.conditions()
    which.add("seq > {}", seq)
    ordered = f"{AUDIT.select}WHERE {which.sql} ORDER BY seq LIMIT {limit:d} OFFSET {skip:d}"
    return [Row(*row) for row in await connection.fetch(ordered, *which.values)]
