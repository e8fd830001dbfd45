"""Derive the rows of `runs` from audit entries. The first outcome of a run stays."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from stores.audit_entries import Entry
from stores.sql.dialects import truncate_to, upsert
from stores.sql.tables import runs

OUTCOME = ("status", "reason", "status_code", "duration_ms")


async def record(connection: AsyncConnection, workspace: str, entries: Iterable[Entry]) -> None:
    """Open and end the runs of these entries, in at most two statements."""
    opened: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.event == "run.intended":
            opened.setdefault(entry.run_id, _row(workspace, entry))
        elif entry.event == "run.ended":
            started = opened.get(entry.run_id) or _row(workspace, entry)
            ended.setdefault(entry.run_id, {**started, **_outcome(entry)})
    running = [row for run_id, row in opened.items() if run_id not in ended]
    await _open(connection, running)
    await _end(connection, list(ended.values()))


async def _open(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(upsert(connection, runs).on_conflict_do_nothing(), rows)


async def _end(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        insert = upsert(connection, runs)
        statement = insert.on_conflict_do_update(
            index_elements=[runs.c.workspace, runs.c.run_id],
            set_={name: insert.excluded[name] for name in OUTCOME},
            where=runs.c.status == "running",
        )
        await connection.execute(statement, rows)


def _row(workspace: str, entry: Entry) -> dict[str, Any]:
    """The row of a running run, from its intent, or from its ending if the intent is unknown."""
    texts = ("run_id", "preview_id", "action", "provider", "principal")
    return {
        **{name: truncate_to(runs.c[name], getattr(entry, name)) for name in texts},
        "workspace": workspace,
        "trace_link": entry.trace_link or None,
        "status": "running",
        "reason": None,
        "status_code": None,
        "duration_ms": None,
        "started_at": entry.at - entry.duration_ms,
    }


def _outcome(entry: Entry) -> dict[str, Any]:
    timed = entry.reason != "interrupted" and entry.status != "not_sent"
    return {
        "status": truncate_to(runs.c.status, entry.status),
        "reason": truncate_to(runs.c.reason, entry.reason) or None,
        "status_code": entry.status_code or None,
        # The duration of an interrupted run is unknown, and a run that was not sent has none.
        "duration_ms": entry.duration_ms if timed else None,
    }
