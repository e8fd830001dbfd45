"""Runs: those of the last day from Redis, older ones from the database."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.actions import document
from gateway.api.errors import database_problems
from gateway.api.state import State, workspace
from gateway.database import LazyDatabase
from gateway.execution.documents import Result, RunDocument, recorded_error
from gateway.http.requests import EXPECTED, Cursor, Instant, Word, parameter_refused, query
from gateway.http.responses import json_response
from gateway.problems import RunNotFound
from gateway.timestamps import Timestamp, epoch_ms, optional_timestamp, timestamp
from stores.sql import runs as rows


class HistoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`since` is included, `until` is not."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Cursor | None = None
    status: Word | None = None
    action: Word | None = None
    principal: Word | None = None
    since: Instant | None = None
    until: Instant | None = None


class RunsQuery(HistoryQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`requester`: the subject that has executed."""

    requester: Word | None = None


class ListedRun(Struct, kw_only=True):
    run_id: str
    preview_id: str
    action: str
    provider: str
    principal: str
    status: str
    reason: str | None
    status_code: int | None
    duration_ms: int | None
    started_at: Timestamp
    trace_link: str | None


class RunsBody(Struct, kw_only=True):
    runs: list[ListedRun]
    next_cursor: str | None
    request_id: str


async def list_runs(request: Request[State]) -> Response:
    asked = query(request, RunsQuery)
    try:
        before = rows.runs_cursor(asked.cursor) if asked.cursor else None
    except ValueError as error:
        raise invalid_cursor() from error
    with database_problems():
        database = await request.state["database"].open()
        async with database.connect() as connection:
            page = await rows.runs_page(
                connection, workspace(request), filter_of(asked), before=before, limit=asked.limit
            )
    cursor = None if page.before is None else rows.encoded(page.before)
    runs = [_listed(row) for row in page.rows]
    return json_response(
        RunsBody(runs=runs, next_cursor=cursor, request_id=request.state["request_id"])
    )


class ReplaysBody(Struct, kw_only=True):
    """`count`: how many requests got the stored answer of the run since it ended; those that waited
    for its end are not among them. Both are null once Redis has forgotten the answer, a day after
    the run: nothing of replays is kept for longer.
    """

    run_id: str
    count: int | None
    last_at: Timestamp | None
    request_id: str


async def get_replays(request: Request[State]) -> Response:
    principal, run_id = request.state["principal"], request.path_params["run_id"]
    count = last_at = None
    try:
        run = await request.state["engine"].inspect_run(principal, run_id)
        count, last_at = run.replays, optional_timestamp(run.replayed_at_ms or None)
    except RunNotFound:
        if await archived_run(request.state["database"], principal.workspace, run_id) is None:
            raise
    request_id = request.state["request_id"]
    return json_response(
        ReplaysBody(run_id=run_id, count=count, last_at=last_at, request_id=request_id)
    )


async def get_run(request: Request[State]) -> Response:
    return document(request, await run_document(request, request.path_params["run_id"]))


async def run_document(request: Request[State], run_id: str) -> bytes:
    """Raises RunNotFound, StoreUnavailable and RedisUnavailable."""
    principal = request.state["principal"]
    try:
        return await request.state["engine"].find_run(principal, run_id)
    except RunNotFound:
        # Redis keeps a run for a day, the database for as long as the audit.
        kept = await archived_run(request.state["database"], principal.workspace, run_id)
        if kept is None:
            raise
        return kept


async def archived_run(database: LazyDatabase, workspace: str, run_id: str) -> bytes | None:
    """The document of a run that Redis no longer has, or that was not sent, without the target's
    answer; None if the workspace has no such run. Raises StoreUnavailable.
    """
    with database_problems():
        if (opened := await database.existing()) is None:
            return None
        async with opened.connect() as connection:
            row = await rows.find_run(connection, workspace, run_id)
    return _document(row) if row else None


def filter_of(asked: HistoryQuery) -> rows.Filter:
    return rows.Filter(
        action=asked.action,
        status=asked.status,
        principal=asked.principal,
        requester=asked.requester if isinstance(asked, RunsQuery) else None,
        since_ms=None if asked.since is None else epoch_ms(asked.since),
        until_ms=None if asked.until is None else epoch_ms(asked.until),
    )


def invalid_cursor() -> Exception:
    return parameter_refused("cursor", EXPECTED["cursor"])


def _listed(row: rows.RunRow) -> ListedRun:
    fields = row._asdict()
    del fields["workspace"]
    return ListedRun(**{**fields, "started_at": timestamp(row.started_at)})


def _document(row: rows.RunRow) -> bytes:
    names = RunDocument.__struct_fields__
    fields = {name: value for name, value in row._asdict().items() if name in names}
    run = RunDocument(**{**fields, "started_at": timestamp(row.started_at)})
    run.error = recorded_error(row.reason, row.status_code)
    if row.status_code is not None:
        run.result = Result(status_code=row.status_code, response="", truncated=True)
    return msgspec.json.encode(run)
