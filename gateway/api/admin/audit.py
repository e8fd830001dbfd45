"""The audit of the caller's workspace. Reading it is audited, too."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.errors import database_problems
from gateway.api.runs import HistoryQuery, filter_of, invalid_cursor
from gateway.api.state import State, workspace
from gateway.http.requests import Word, query
from gateway.http.responses import json_response
from gateway.http.tracing import API_KEY
from gateway.timestamps import Timestamp, optional_timestamp, timestamp
from stores.audit import pages, signatures
from stores.audit_entries import Entry
from stores.sql.runs import encoded


class AuditQuery(HistoryQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Word | None = None


class AuditEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """An entry as it was recorded, and its HMAC in hex. `unreadable`: the text of an entry that
    was changed in the database.
    """

    workspace: str = ""
    seq: int
    source: str = ""
    at: Timestamp | UnsetType = UNSET  # type: ignore[assignment]
    mac: str
    unreadable: str = ""


class AuditBody(Struct, kw_only=True):
    entries: list[AuditEntry]
    next_cursor: str | None
    request_id: str


class VerificationBody(Struct, kw_only=True):
    """The last check of this gateway. `never`: it has not made one since its start. `seq`: the
    last entry that was verified, or the first bad one.
    """

    state: Literal["ok", "broken", "never"]
    seq: int | None
    detail: str
    checked_at: Timestamp | None
    request_id: str


async def get_verification(request: Request[State]) -> Response:
    found = request.state["verifier"].found(workspace(request))
    body = VerificationBody(
        state=found.state,
        seq=found.seq if found.at_ms else None,
        detail=found.detail,
        checked_at=optional_timestamp(found.at_ms),
        request_id=request.state["request_id"],
    )
    return json_response(body)


async def list_audit(request: Request[State]) -> Response:
    asked = query(request, AuditQuery)
    try:
        after = pages.audit_cursor(asked.cursor) if asked.cursor else None
    except ValueError as error:
        raise invalid_cursor() from error
    with database_problems():
        database = await request.state["database"].open()
        async with database.connect() as connection:
            events = (asked.event,) if asked.event else ()
            selection = pages.Selection(workspace(request), filter_of(asked), events)
            page = await pages.audit_page(connection, selection, after=after, limit=asked.limit)
    request.state["journal"].note(workspace(request), _reading(request))
    cursor = None if page.after is None else encoded(page.after)
    return json_response(
        AuditBody(
            entries=[_audited(row) for row in page.rows],
            next_cursor=cursor,
            request_id=request.state["request_id"],
        )
    )


def _reading(request: Request[State]) -> Entry:
    principal = request.state["principal"]
    asked = " ".join(f"{name}={text}" for name, text in request.query_params.items())
    return Entry(
        event="audit.read",
        principal=principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        detail=API_KEY.sub(r"\1", asked),
    )


def _audited(row: signatures.Row) -> AuditEntry:
    """A database writer may have put anything there; `relay audit verify` finds it."""
    try:
        recorded = row.recorded
        fields = {**asdict(recorded), "at": timestamp(recorded.at)}
    except (msgspec.DecodeError, ValueError, OverflowError, OSError):  # the last: a far year
        fields = {"event": row.event, "principal": row.principal, "unreadable": str(row.entry)}
    mac = row.mac.hex() if isinstance(row.mac, bytes) else str(row.mac)
    return AuditEntry(**{**fields, "seq": row.seq, "mac": mac})
