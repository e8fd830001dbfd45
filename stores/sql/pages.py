"""Read the audit and the runs of one workspace a page at a time, newest first; or in order.

The workspace is the caller's and stands in every condition: a cursor says where to go on, and
cannot lead out of it.
"""

import base64
from collections.abc import Collection
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.audit.signatures import Row
from stores.sql.dialects import truncate_to
from stores.sql.tables import audit, audit_checkpoints, audit_heads, runs

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
RunId = Annotated[str, msgspec.Meta(max_length=36, pattern=r"^[^\x00]*$")]


class Filter(NamedTuple):
    """None: any. `since_ms` is in, `until_ms` is not; of a run they ask when it started."""

    action: str | None = None
    status: str | None = None
    principal: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class AuditPage(NamedTuple):
    """`after`: the cursor of the next page, None on the last one."""

    rows: list[Row]
    after: int | None


class RunRow(NamedTuple):
    """A row of the table `runs`, in the order of its columns."""

    workspace: str
    run_id: str
    preview_id: str
    action: str
    provider: str
    principal: str
    status: str
    reason: str | None
    status_code: int | None
    duration_ms: int | None
    started_at: int
    trace_link: str | None


class RunsCursor(NamedTuple):
    started_at: Number
    run_id: RunId


class RunsPage(NamedTuple):
    rows: list[RunRow]
    before: RunsCursor | None


async def audit_page(
    connection: AsyncConnection,
    workspace: str,
    wanted: Filter,
    *,
    event: Collection[str] = (),
    after: int | None = None,
    limit: int,
) -> AuditPage:
    """`event`: one of these; none for any."""
    asked = select_entries(workspace, wanted, event)
    if after is not None:
        asked = asked.where(audit.c.seq < after)
    # One more than was asked for: it says that there are more.
    asked = asked.order_by(audit.c.seq.desc()).limit(limit + 1)
    rows = [Row(*row) for row in await connection.execute(asked)]
    return AuditPage(rows[:limit], rows[limit - 1].seq if len(rows) > limit else None)


async def runs_page(
    connection: AsyncConnection,
    workspace: str,
    wanted: Filter,
    *,
    before: RunsCursor | None = None,
    limit: int,
) -> RunsPage:
    place = tuple_(runs.c.started_at, runs.c.run_id)
    asked = select(runs).where(*_conditions(runs, workspace, wanted, runs.c.started_at))
    if before is not None:
        asked = asked.where(place < tuple_(before.started_at, before.run_id))
    asked = asked.order_by(runs.c.started_at.desc(), runs.c.run_id.desc()).limit(limit + 1)
    rows = [RunRow(*row) for row in await connection.execute(asked)]
    if len(rows) <= limit:
        return RunsPage(rows, None)
    return RunsPage(rows[:limit], RunsCursor(rows[limit - 1].started_at, rows[limit - 1].run_id))


async def find_run(connection: AsyncConnection, workspace: str, run_id: str) -> RunRow | None:
    if "\0" in run_id:  # PostgreSQL takes no such text
        return None
    asked = select(runs).where(runs.c.workspace == workspace, runs.c.run_id == run_id)
    row = (await connection.execute(asked)).one_or_none()
    return RunRow(*row) if row else None


async def audited(connection: AsyncConnection) -> list[str]:
    """Every workspace of which there is anything, be it a head alone."""
    tables = (audit_heads, audit_checkpoints, audit)
    first, *others = (select(table.c.workspace) for table in tables)
    # SQLite keeps in a column whatever it is given.
    names = (await connection.execute(first.union(*others))).scalars()
    return sorted(
        name if isinstance(name, str) else bytes(name).decode(errors="replace") for name in names
    )


async def span(connection: AsyncConnection, asked: Select[Any]) -> int:
    """How many entries lie between the first and the last that is asked for, both included."""
    found = asked.with_only_columns(func.min(audit.c.seq), func.max(audit.c.seq))
    first, last = (await connection.execute(found)).one()
    # None where there is nothing; SQLite keeps in a column whatever it is given.
    return last - first + 1 if isinstance(first, int) and isinstance(last, int) else 0


def select_entries(
    workspace: str, wanted: Filter | None = None, event: Collection[str] = ()
) -> Select[Any]:
    """Rows of the audit, in no order yet."""
    asked = select(audit).where(*_conditions(audit, workspace, wanted or Filter(), audit.c.at))
    return asked.where(audit.c.event.in_(event)) if event else asked


async def following(
    connection: AsyncConnection, asked: Select[Any], seq: int | None, *, limit: int
) -> list[Row]:
    """What comes next of what is asked for; after None, its beginning."""
    beyond = asked if seq is None else asked.where(audit.c.seq > seq)
    ordered = beyond.order_by(audit.c.seq).limit(limit)
    return [Row(*row) for row in await connection.execute(ordered)]


def encoded(cursor: int | RunsCursor) -> str:
    """For a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def audit_cursor(text: str) -> int:
    """Raises ValueError for what we did not encode."""
    cursor: int = _decoded(text, Number)
    return cursor


def runs_cursor(text: str) -> RunsCursor:
    """Raises ValueError for what we did not encode."""
    cursor: RunsCursor = _decoded(text, RunsCursor)
    return cursor


def _decoded(text: str, kind: Any) -> Any:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.DecodeError):
        cursor = None
    if cursor is None or encoded(cursor) != text:
        raise ValueError("not a cursor of ours")
    return cursor


def _conditions(
    table: Table, workspace: str, wanted: Filter, time: ColumnElement[int]
) -> list[ColumnElement[bool]]:
    texts = {table.c[name]: getattr(wanted, name) for name in ("action", "status", "principal")}
    conditions = [
        table.c.workspace == workspace,
        *(
            column == truncate_to(column, text)
            for column, text in texts.items()
            if text is not None
        ),
    ]
    if wanted.since_ms is not None:
        conditions.append(time >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(time < wanted.until_ms)
    return conditions
