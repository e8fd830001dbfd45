"""The handlers of what has happened: runs and audit, from the durable store.

Each answer is of the asker's own workspace, wherever the cursor comes from.
"""

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import listings
from gateway.api.declining import database_problems
from gateway.database import LazyDatabase
from gateway.execution.documents import Result, RunDocument, timestamp
from gateway.execution.run_errors import kept
from gateway.http.queries import AuditQuery, RunsQuery, epoch_ms, query, refused
from gateway.http.tracing import API_KEY
from stores.audit_entries import Entry

if TYPE_CHECKING:
    from gateway.api.endpoints import State
    from stores.sql.pages import AuditPage, Filter, RunRow, RunsCursor, RunsPage


async def list_runs(request: "Request[State]") -> Response:
    asked, workspace = query(request, RunsQuery), request.state["principal"].workspace
    page = await _runs(request.state["database"], workspace, asked)
    runs = [listings.run(row) for row in page.rows]
    return _body(
        listings.RunsBody(
            runs=runs, next_cursor=_cursor(page.before), request_id=request.state["request_id"]
        )
    )


async def list_audit(request: "Request[State]") -> Response:
    """Who reads it is audited himself, and sees that when he reads on."""
    asked, workspace = query(request, AuditQuery), request.state["principal"].workspace
    page = await _audit(request.state["database"], workspace, asked)
    request.state["journal"].note(workspace, _reading(request))
    entries = [listings.audited(row) for row in page.rows]
    return _body(
        listings.AuditBody(
            entries=entries, next_cursor=_cursor(page.after), request_id=request.state["request_id"]
        )
    )


async def archived_run(database: LazyDatabase, workspace: str, run_id: str) -> bytes | None:
    """The document of a run that Redis has forgotten, or of which nothing was sent, less the
    target's answer; None where no such run is of this workspace. Raises StoreUnavailable.
    """
    if (opening := database.found()) is None:
        return None
    with database_problems():
        from stores.sql import pages

        async with opening as opened, opened.connect() as connection:
            row = await pages.find_run(connection, workspace, run_id)
    return _document(row) if row else None


async def _runs(database: LazyDatabase, workspace: str, asked: RunsQuery) -> "RunsPage":
    from stores.sql import pages

    try:
        before = pages.runs_cursor(asked.cursor) if asked.cursor else None
    except ValueError as error:
        raise _no_cursor() from error
    with database_problems():
        opened = await database.open()
        async with opened.connect() as connection:
            return await pages.runs_page(
                connection, workspace, _filter(asked), before=before, limit=asked.limit
            )


async def _audit(database: LazyDatabase, workspace: str, asked: AuditQuery) -> "AuditPage":
    from stores.sql import pages

    event = (asked.event,) if asked.event else ()
    try:
        after = pages.audit_cursor(asked.cursor) if asked.cursor else None
    except ValueError as error:
        raise _no_cursor() from error
    with database_problems():
        opened = await database.open()
        async with opened.connect() as connection:
            return await pages.audit_page(
                connection, workspace, _filter(asked), event=event, after=after, limit=asked.limit
            )


def _filter(asked: RunsQuery) -> "Filter":
    from stores.sql.pages import Filter

    return Filter(
        action=asked.action,
        status=asked.status,
        principal=asked.principal,
        since_ms=epoch_ms(asked.since),
        until_ms=epoch_ms(asked.until),
    )


def _no_cursor() -> Exception:
    return refused("cursor", "Send the next_cursor of a page of this listing as it is.")


def _cursor(cursor: "int | RunsCursor | None") -> str | None:
    from stores.sql.pages import encoded

    return None if cursor is None else encoded(cursor)


def _reading(request: "Request[State]") -> Entry:
    principal = request.state["principal"]
    asked = " ".join(f"{name}={text}" for name, text in request.query_params.items())
    return Entry(
        event="audit.read",
        principal=principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        detail=API_KEY.sub(r"\1", asked),
    )


def _document(row: "RunRow") -> bytes:
    fields = {name: fact for name, fact in row._asdict().items() if name in _OF_RUN}
    result = None
    if row.status_code is not None:
        result = Result(status_code=row.status_code, response="", truncated=True)
    run = RunDocument(**{**fields, "started_at": timestamp(row.started_at)})
    run.result, run.error = result, kept(row.reason, row.status_code)
    return msgspec.json.encode(run)


def _body(body: Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


_OF_RUN = frozenset(RunDocument.__struct_fields__)
