"""Read the runs of a workspace a page at a time, newest first.

Every query is restricted to the caller's workspace: a cursor is a position and cannot lead out
of it.
"""

import base64
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Table, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.dialects import truncate_to
from stores.sql.tables import runs

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
RunId = Annotated[str, msgspec.Meta(max_length=36, pattern=r"^[^\x00]*$")]


class Filter(NamedTuple):
    """None matches anything. `since_ms` is included, `until_ms` is not; both compare the time of an
    entry, or the start of a run.
    """

    action: str | None = None
    status: str | None = None
    principal: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


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


async def runs_page(
    connection: AsyncConnection,
    workspace: str,
    filters: Filter,
    *,
    before: RunsCursor | None = None,
    limit: int,
) -> RunsPage:
    position = tuple_(runs.c.started_at, runs.c.run_id)
    query = select(runs).where(*conditions(runs, workspace, filters, runs.c.started_at))
    if before is not None:
        query = query.where(position < tuple_(before.started_at, before.run_id))
    query = query.order_by(runs.c.started_at.desc(), runs.c.run_id.desc()).limit(limit + 1)
    rows = [RunRow(*row) for row in await connection.execute(query)]
    if len(rows) <= limit:
        return RunsPage(rows, None)
    return RunsPage(rows[:limit], RunsCursor(rows[limit - 1].started_at, rows[limit - 1].run_id))


async def find_run(connection: AsyncConnection, workspace: str, run_id: str) -> RunRow | None:
    if "\0" in run_id:  # PostgreSQL refuses such text
        return None
    query = select(runs).where(runs.c.workspace == workspace, runs.c.run_id == run_id)
    row = (await connection.execute(query)).one_or_none()
    return RunRow(*row) if row else None


def encoded(cursor: int | RunsCursor) -> str:
    """A cursor as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def runs_cursor(text: str) -> RunsCursor:
    """Raises ValueError for text that `encoded` did not make."""
    cursor: RunsCursor = decoded(text, RunsCursor)
    return cursor


def decoded(text: str, kind: Any) -> Any:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.DecodeError):
        cursor = None
    if cursor is None or encoded(cursor) != text:
        raise ValueError("this is not a cursor that Relay made")
    return cursor


def conditions(
    table: Table, workspace: str, filters: Filter, time: ColumnElement[int]
) -> list[ColumnElement[bool]]:
    texts = {table.c[name]: getattr(filters, name) for name in ("action", "status", "principal")}
    conditions = [
        table.c.workspace == workspace,
        *(
            column == truncate_to(column, text)
            for column, text in texts.items()
            if text is not None
        ),
    ]
    if filters.since_ms is not None:
        conditions.append(time >= filters.since_ms)
    if filters.until_ms is not None:
        conditions.append(time < filters.until_ms)
    return conditions
