"""The runs that outlive Redis: derived from audit entries, read a page at a time, newest first.

The first outcome of a run stays. Every query is restricted to the caller's workspace: a cursor is
a position and cannot lead out of it.
"""

import base64
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import msgspec

from stores.audit_entries import Entry
from stores.sql.drivers.connection import Conditions, Connection
from stores.sql.tables import RUNS, Table

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
RunId = Annotated[str, msgspec.Meta(max_length=36, pattern=r"^[^\x00]*$")]

# A person without a key is its own subject. A key keeps its row, and so its subject, when it has
# ended. $1 is the workspace.
OF_REQUESTER = (
    "(principal = {} OR principal IN "
    "(SELECT id FROM api_keys WHERE workspace = $1 AND coalesce(subject, id) = {}))"
)


class Filter(NamedTuple):
    """None matches anything. `since_ms` is included, `until_ms` is not; both compare the time of an
    entry, or the start of a run. `requester`: the subject that has executed.
    """

    action: str | None = None
    status: str | None = None
    principal: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    requester: str | None = None

    def conditions(self, workspace: str, table: Table, time: str) -> Conditions:
        conditions = Conditions(workspace)
        for name in ("action", "status", "principal"):
            text = getattr(self, name)
            conditions.add(name + " = {}", text if text is None else table.fit(name, text))
        conditions.add(time + " >= {}", self.since_ms)
        conditions.add(time + " < {}", self.until_ms)
        conditions.add(OF_REQUESTER, self.requester, self.requester)
        return conditions


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


async def record(connection: Connection, workspace: str, entries: Iterable[Entry]) -> None:
    """Open and end the runs of these entries, in at most two statements."""
    opened: dict[str, RunRow] = {}
    ended: dict[str, RunRow] = {}
    for entry in entries:
        if entry.event == "run.intended":
            opened.setdefault(entry.run_id, _row(workspace, entry))
        elif entry.event == "run.ended":
            started = opened.get(entry.run_id) or _row(workspace, entry)
            ended.setdefault(entry.run_id, _ended(started, entry))
    if running := [row for run_id, row in opened.items() if run_id not in ended]:
        await connection.insert(RUNS, running, "ON CONFLICT DO NOTHING")
    if ended:
        await connection.insert(
            RUNS,
            [*ended.values()],
            "ON CONFLICT (workspace, run_id) DO UPDATE SET status = excluded.status, "
            "reason = excluded.reason, status_code = excluded.status_code, "
            "duration_ms = excluded.duration_ms WHERE runs.status = 'running'",
        )


def _row(workspace: str, entry: Entry) -> RunRow:
    """The row of a running run, from its intent, or from its ending if the intent is unknown."""
    return RunRow(
        workspace,
        RUNS.fit("run_id", entry.run_id),
        RUNS.fit("preview_id", entry.preview_id),
        RUNS.fit("action", entry.action),
        RUNS.fit("provider", entry.provider),
        RUNS.fit("principal", entry.principal),
        "running",
        None,
        None,
        None,
        entry.at - entry.duration_ms,
        entry.trace_link or None,
    )


def _ended(started: RunRow, entry: Entry) -> RunRow:
    # The duration of an interrupted run is unknown, and a run that was not sent has none.
    timed = entry.reason not in ("interrupted", "forgotten") and entry.status != "not_sent"
    return started._replace(
        status=RUNS.fit("status", entry.status),
        reason=RUNS.fit("reason", entry.reason) or None,
        status_code=entry.status_code or None,
        duration_ms=entry.duration_ms if timed else None,
    )


async def runs_page(
    connection: Connection,
    workspace: str,
    filters: Filter,
    *,
    before: RunsCursor | None = None,
    limit: int,
) -> RunsPage:
    which = filters.conditions(workspace, RUNS, "started_at")
    if before is not None:
        which.add("(started_at, run_id) < ({}, {})", *before)
    # One more than a page, to know whether there is another page.
    newest = (
        f"{RUNS.select}WHERE {which.sql} ORDER BY started_at DESC, run_id DESC LIMIT {limit + 1:d}"
    )
    rows = [RunRow(*row) for row in await connection.fetch(newest, *which.values)]
    if len(rows) <= limit:
        return RunsPage(rows, None)
    return RunsPage(rows[:limit], RunsCursor(rows[limit - 1].started_at, rows[limit - 1].run_id))


async def find_run(connection: Connection, workspace: str, run_id: str) -> RunRow | None:
    if "\0" in run_id:  # PostgreSQL refuses such text
        return None
    which = "WHERE workspace = $1 AND run_id = $2"
    rows = await connection.fetch(RUNS.select + which, workspace, run_id)
    return RunRow(*rows[0]) if rows else None


async def running(connection: Connection, workspace: str, *, before_ms: int) -> list[RunRow]:
    """Runs without an outcome that started before this time; at most 200."""
    which = "WHERE workspace = $1 AND status = 'running' AND started_at < $2 LIMIT 200"
    rows = await connection.fetch(RUNS.select + which, workspace, before_ms)
    return [RunRow(*row) for row in rows]


def encoded(cursor: object) -> str:
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
