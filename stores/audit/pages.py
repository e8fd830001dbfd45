"""Read the audit of a workspace: a page at a time, newest first; or in order, for exports."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.audit.signatures import Row
from stores.sql.pages import Filter, Number, conditions, decoded
from stores.sql.tables import audit, audit_checkpoints, audit_heads

# A selection of entries.
Entries = Select[Any]


class AuditPage(NamedTuple):
    """`after`: the cursor of the next page, None on the last one."""

    rows: list[Row]
    after: int | None


async def audit_page(
    connection: AsyncConnection,
    workspace: str,
    filters: Filter,
    *,
    event: Collection[str] = (),
    after: int | None = None,
    limit: int,
) -> AuditPage:
    """A page of entries, newest first. `event`: only these events; () for all."""
    query = select_entries(workspace, filters, event)
    if after is not None:
        query = query.where(audit.c.seq < after)
    # One more than a page, to know whether there is another page.
    query = query.order_by(audit.c.seq.desc()).limit(limit + 1)
    rows = [Row(*row) for row in await connection.execute(query)]
    return AuditPage(rows[:limit], rows[limit - 1].seq if len(rows) > limit else None)


def audit_cursor(text: str) -> int:
    """Raises ValueError for text that `encoded` did not make."""
    cursor: int = decoded(text, Number)
    return cursor


async def audited_workspaces(connection: AsyncConnection) -> list[str]:
    """The workspaces that have an entry, a checkpoint or a head."""
    tables = (audit_heads, audit_checkpoints, audit)
    first, *others = (select(table.c.workspace) for table in tables)
    # An SQLite column may hold any type.
    names = (await connection.execute(first.union(*others))).scalars()
    return sorted(
        name if isinstance(name, str) else bytes(name).decode(errors="replace") for name in names
    )


async def entries_spanned(connection: AsyncConnection, query: Select[Any]) -> int:
    """The number of entries from the first to the last that is selected, both included."""
    found = query.with_only_columns(func.min(audit.c.seq), func.max(audit.c.seq))
    first, last = (await connection.execute(found)).one()
    # None for no entry; an SQLite column may hold any type.
    return last - first + 1 if isinstance(first, int) and isinstance(last, int) else 0


def select_entries(
    workspace: str, filters: Filter | None = None, event: Collection[str] = ()
) -> Select[Any]:
    """Select rows of the audit, unordered."""
    query = select(audit).where(*conditions(audit, workspace, filters or Filter(), audit.c.at))
    return query.where(audit.c.event.in_(event)) if event else query


async def rows_after(
    connection: AsyncConnection, query: Select[Any], seq: int | None, *, limit: int
) -> list[Row]:
    """The next selected rows after `seq`; the first ones after None."""
    beyond = query if seq is None else query.where(audit.c.seq > seq)
    ordered = beyond.order_by(audit.c.seq).limit(limit)
    return [Row(*row) for row in await connection.execute(ordered)]
