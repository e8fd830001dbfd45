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
    wanted: Filter,
    *,
    event: Collection[str] = (),
    after: int | None = None,
    limit: int,
) -> AuditPage:
    """`event`: entries of these events; () for any."""
    asked = select_entries(workspace, wanted, event)
    if after is not None:
        asked = asked.where(audit.c.seq < after)
    # One more than a page, to know whether there is another page.
    asked = asked.order_by(audit.c.seq.desc()).limit(limit + 1)
    rows = [Row(*row) for row in await connection.execute(asked)]
    return AuditPage(rows[:limit], rows[limit - 1].seq if len(rows) > limit else None)


def audit_cursor(text: str) -> int:
    """Raises ValueError for text that `encoded` did not make."""
    cursor: int = decoded(text, Number)
    return cursor


async def audited(connection: AsyncConnection) -> list[str]:
    """The workspaces that have an entry, a checkpoint or a head."""
    tables = (audit_heads, audit_checkpoints, audit)
    first, *others = (select(table.c.workspace) for table in tables)
    # An SQLite column may hold any type.
    names = (await connection.execute(first.union(*others))).scalars()
    return sorted(
        name if isinstance(name, str) else bytes(name).decode(errors="replace") for name in names
    )


async def span(connection: AsyncConnection, asked: Select[Any]) -> int:
    """The number of entries from the first to the last that is selected, both included."""
    found = asked.with_only_columns(func.min(audit.c.seq), func.max(audit.c.seq))
    first, last = (await connection.execute(found)).one()
    # None for no entry; an SQLite column may hold any type.
    return last - first + 1 if isinstance(first, int) and isinstance(last, int) else 0


def select_entries(
    workspace: str, wanted: Filter | None = None, event: Collection[str] = ()
) -> Select[Any]:
    """Select rows of the audit, unordered."""
    asked = select(audit).where(*conditions(audit, workspace, wanted or Filter(), audit.c.at))
    return asked.where(audit.c.event.in_(event)) if event else asked


async def following(
    connection: AsyncConnection, asked: Select[Any], seq: int | None, *, limit: int
) -> list[Row]:
    """The next selected rows after `seq`; the first ones after None."""
    beyond = asked if seq is None else asked.where(audit.c.seq > seq)
    ordered = beyond.order_by(audit.c.seq).limit(limit)
    return [Row(*row) for row in await connection.execute(ordered)]
