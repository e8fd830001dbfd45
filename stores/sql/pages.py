"""Read the runs of a workspace a page at a time, newest first.

The workspace is the caller's and is part of every condition: a cursor says where to go on, and
cannot lead out of the workspace.
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
    wanted: Filter,
    *,
    before: RunsCursor | None = None,
    limit: int,
) -> RunsPage:
    place = tuple_(runs.c.started_at, runs.c.run_id)
    asked = select(runs).where(*conditions(runs, workspace, wanted, runs.c.started_at))
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


def encoded(cursor: int | RunsCursor) -> str:
    """For a URL."""
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
        raise ValueError("not a cursor of ours")
    return cursor


def conditions(
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
