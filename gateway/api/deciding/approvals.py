"""Approvals: what waits for a decision, the very bytes of it, the decision, and the history.

A caller that may not decide sees only what its own subject asked for. What waits comes from Redis;
what has ended comes from the database, within a second or two of its end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.deciding.listed import ListedApproval, live, recorded, shown
from gateway.api.errors import database_problems
from gateway.api.runs import invalid_cursor
from gateway.api.state import State, workspace
from gateway.approvals.inbox import not_found
from gateway.execution.documents import Wire, origin, stored_effect, wire_of
from gateway.http import requests
from gateway.http.requests import Word, query
from gateway.http.responses import json_response
from gateway.problems import PreviewNotFound
from gateway.timestamps import Timestamp, timestamp
from stores import approvals as vocabulary
from stores.redis.approvals import Approval
from stores.redis.scripts import one_patience
from stores.sql import approvals as rows
from stores.sql.runs import encoded

# The length too: a pattern's `$` also matches before a last line feed.
Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]


class ApprovalsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`state`: `pending` by default; `ended`: every other one."""

    state: vocabulary.State | Literal["ended"] = "pending"
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Word | None = None
    action: Word | None = None
    requester: Word | None = None


class DecisionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`digest`: computed by the approver from what was shown."""

    decision: vocabulary.Decision
    digest: Digest
    reason: Annotated[str, Meta(max_length=500)] = ""


class PreviousBody(Struct, kw_only=True):
    """What was approved last for the same action, method, host, path and requester."""

    preview_id: str
    decided_at: Timestamp
    same_bytes: bool
    wire: Wire


class ApprovalBody(ListedApproval, kw_only=True):
    """`wire`: null once the approval has ended. `added_when_sent`: the names of headers that are
    added to it. `previous`: null unless a rule has `remember`.
    """

    wire: Wire | None
    added_when_sent: Sequence[str] = ()
    previous: PreviousBody | None = None
    request_id: str


class ApprovalsBody(Struct, kw_only=True):
    approvals: list[ListedApproval]
    next_cursor: str | None
    request_id: str


class StateBody(Struct, kw_only=True):
    preview_id: str
    state: vocabulary.State
    request_id: str


_decision = msgspec.json.Decoder(DecisionRequest)


async def list_approvals(request: Request[State]) -> Response:
    asked = query(request, ApprovalsQuery)
    listed, cursor = await (_pending if asked.state == "pending" else _ended)(request, asked)
    return json_response(
        ApprovalsBody(approvals=listed, next_cursor=cursor, request_id=request.state["request_id"])
    )


async def _pending(
    request: Request[State], asked: ApprovalsQuery
) -> tuple[list[ListedApproval], str | None]:
    """The latest deadline first."""
    principal, inbox = request.state["principal"], request.state["inbox"]
    listed: list[ListedApproval] = []
    before = _cursor(asked.cursor) if asked.cursor else None
    async for found in inbox.pending(principal, limit=asked.limit, before=before):
        if _wanted(request, found, asked):
            listed.append(live(found))
        if len(listed) == asked.limit:
            return listed, f"{found.decide_by_ms}-{found.preview_id}"
    return listed, None


async def _ended(
    request: Request[State], asked: ApprovalsQuery
) -> tuple[list[ListedApproval], str | None]:
    """The newest request first."""
    own = None if _decides(request) else request.state["principal"].subject
    if own and asked.requester not in (None, own):
        return [], None
    state = None if asked.state == "ended" else asked.state
    wanted = rows.Filter(state, asked.action, asked.requester or own)
    now_ms = round(time.time() * 1000)
    try:
        before = rows.cursor(asked.cursor) if asked.cursor else None
    except ValueError as error:
        raise invalid_cursor() from error
    with database_problems():
        database = await request.state["database"].open()
        async with database.connect() as connection:
            found = await rows.page(
                connection,
                workspace(request),
                wanted,
                now_ms=now_ms,
                before=before,
                limit=asked.limit + 1,
            )
    page = found[: asked.limit]
    more = len(found) > asked.limit
    cursor = encoded(rows.Cursor(page[-1].requested_at, page[-1].preview_id)) if more else None
    return [recorded(row, now_ms) for row in page], cursor


async def get_approval(request: Request[State]) -> Response:
    """With `Prefer: wait=n`, the answer comes when a pending approval has been decided."""
    principal, preview_id = request.state["principal"], request.path_params["preview_id"]
    inbox, engine = request.state["inbox"], request.state["engine"]
    try:
        found = await inbox.find(principal, preview_id)
    except PreviewNotFound:
        return json_response(await _history(request, preview_id))
    if not may_see(request, found.requester):  # before the wait, which would show that it exists
        raise not_found()
    if found.state == "pending" and (wait := requests.wait_asked(request)):
        await engine.waiting.for_decision(principal.workspace, preview_id, wait)
        found = await inbox.find(principal, preview_id)
    body = _body(request, found)
    if before := await inbox.previous(principal.workspace, found):
        effect = stored_effect(before.doc)[0]
        body.previous = PreviousBody(
            preview_id=before.preview_id,
            decided_at=timestamp(before.at_ms),
            same_bytes=effect.digest == found.digest,
            wire=wire_of(effect),
        )
    return json_response(body)


async def _history(request: Request[State], preview_id: str) -> ApprovalBody:
    """Raises PreviewNotFound and StoreUnavailable."""
    row = await history(request, preview_id)
    if row is None or not may_see(request, row.requester):
        raise not_found()
    fields = msgspec.structs.asdict(recorded(row, round(time.time() * 1000)))
    request_id = request.state["request_id"]
    return ApprovalBody(**fields, wire=None, request_id=request_id)


async def history(request: Request[State], preview_id: str) -> rows.ApprovalRow | None:
    """The row of an approval. Raises StoreUnavailable."""
    with database_problems():
        if (opened := await request.state["database"].existing()) is None:
            return None
        async with opened.connect() as connection:
            return await rows.find(connection, workspace(request), preview_id)


async def decide(request: Request[State]) -> Response:
    asked = await requests.read(request, _decision)
    principal, preview_id = request.state["principal"], request.path_params["preview_id"]
    with one_patience():
        state = await request.state["inbox"].decide(
            principal, preview_id, asked.decision, digest=asked.digest, reason=asked.reason
        )
    return _state(request, preview_id, state)


async def withdraw_approval(request: Request[State]) -> Response:
    principal, preview_id = request.state["principal"], request.path_params["preview_id"]
    with one_patience():
        state = await request.state["inbox"].withdraw(principal, preview_id)
    return _state(request, preview_id, state)


def _state(request: Request[State], preview_id: str, state: vocabulary.State) -> Response:
    request_id = request.state["request_id"]
    return json_response(StateBody(preview_id=preview_id, state=state, request_id=request_id))


def _decides(request: Request[State]) -> bool:
    return "approvals:decide" in request.state["principal"].scopes


def may_see(request: Request[State], requester: str) -> bool:
    """Whether the caller decides on approvals, or asked for this one."""
    return _decides(request) or requester == request.state["principal"].subject


def _wanted(request: Request[State], found: Approval, asked: ApprovalsQuery) -> bool:
    return (
        may_see(request, found.requester)
        and asked.action in (None, origin(found.origin).action)
        and asked.requester in (None, found.requester)
    )


def _cursor(text: str) -> tuple[int, str]:
    decide_by, dash, preview_id = text.partition("-")
    if not dash or not decide_by.isdecimal() or len(decide_by) > 15:
        raise invalid_cursor()
    return int(decide_by), preview_id


def _body(request: Request[State], found: Approval) -> ApprovalBody:
    body = ApprovalBody(
        **msgspec.structs.asdict(live(found)), wire=None, request_id=request.state["request_id"]
    )
    if found.doc:
        body.wire = wire_of(stored_effect(found.doc)[0])
        body.added_when_sent = shown(found.doc).effect.added_when_sent
    return body
