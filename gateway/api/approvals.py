"""Approvals: what waits for a decision, the very bytes of it, and the decision.

A caller that may not decide sees only what its own subject asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.runs import invalid_cursor
from gateway.api.state import State
from gateway.approvals.inbox import asked_of, not_found
from gateway.execution.documents import Origin, Wire, origin, stored_effect, wire_of
from gateway.http import requests
from gateway.http.requests import Word, query
from gateway.http.responses import json_response
from gateway.timestamps import Timestamp, timestamp
from stores.redis.approvals import Approval, Decision

Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]


class ApprovalsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Word | None = None
    action: Word | None = None
    requester: Word | None = None


class DecisionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`digest`: computed by the approver from what was shown."""

    decision: Decision
    digest: Digest
    reason: Annotated[str, Meta(max_length=500)] = ""


class RuleState(Struct, kw_only=True):
    """`approvers`: who counts; empty: every key that may decide. `left`: how many are missing."""

    rule: str
    approvals: int
    approvers: Sequence[str]
    reason: str
    left: int


class DeciderBody(Struct, kw_only=True):
    subject: str
    key: str
    role: str
    decision: Decision
    reason: str
    decided_at: Timestamp


class ListedApproval(Struct, kw_only=True):
    """`requester`: a subject. `use_by`: once approved, until when it may be executed."""

    preview_id: str
    state: str
    action: str
    provider: str
    summary: str | None
    digest: str
    requester: str
    rules: Sequence[RuleState]
    deciders: Sequence[DeciderBody]
    requested_at: Timestamp
    decide_by: Timestamp
    use_by: Timestamp | None
    run_id: str | None


class ApprovalBody(ListedApproval, kw_only=True):
    """`wire`: null once the approval has ended."""

    warnings: Sequence[str]
    wire: Wire | None
    request_id: str


class ApprovalsBody(Struct, kw_only=True):
    approvals: list[ListedApproval]
    next_cursor: str | None
    request_id: str


class StateBody(Struct, kw_only=True):
    preview_id: str
    state: str
    request_id: str


class _Shown(Struct):
    summary: str
    warnings: Sequence[str]


_decision = msgspec.json.Decoder(DecisionRequest)
_shown = msgspec.json.Decoder(_Shown)


async def list_approvals(request: Request[State]) -> Response:
    asked, principal = query(request, ApprovalsQuery), request.state["principal"]
    inbox = request.state["inbox"]
    listed: list[ListedApproval] = []
    before = _cursor(asked.cursor) if asked.cursor else None
    while page := await inbox.pending(principal, limit=asked.limit, before=before):
        for found in page:
            before = (found.decide_by_ms, found.preview_id)
            if _wanted(request, found, asked):
                listed.append(_listed(found))
            if len(listed) == asked.limit:
                break
        if len(listed) == asked.limit:
            break
    else:
        before = None
    cursor = f"{before[0]}-{before[1]}" if before else None
    return json_response(
        ApprovalsBody(approvals=listed, next_cursor=cursor, request_id=request.state["request_id"])
    )


async def get_approval(request: Request[State]) -> Response:
    """With `Prefer: wait=n`, the answer comes when a pending approval has been decided."""
    principal, preview_id = request.state["principal"], request.path_params["preview_id"]
    inbox, engine = request.state["inbox"], request.state["engine"]
    found = await inbox.find(principal, preview_id)
    if found.state == "pending" and (wait := requests.wait_asked(request)):
        await engine.wait_for_decision(principal.workspace, preview_id, wait)
        found = await inbox.find(principal, preview_id)
    if not _may_see(request, found):
        raise not_found()
    return json_response(_body(request, found))


async def decide(request: Request[State]) -> Response:
    asked = await requests.read(request, _decision)
    principal, preview_id = request.state["principal"], request.path_params["preview_id"]
    state = await request.state["inbox"].decide(
        principal, preview_id, asked.decision, digest=asked.digest, reason=asked.reason
    )
    return _state(request, preview_id, state)


async def withdraw_approval(request: Request[State]) -> Response:
    principal, preview_id = request.state["principal"], request.path_params["preview_id"]
    state = await request.state["inbox"].withdraw(principal, preview_id)
    return _state(request, preview_id, state)


def _state(request: Request[State], preview_id: str, state: str) -> Response:
    request_id = request.state["request_id"]
    return json_response(StateBody(preview_id=preview_id, state=state, request_id=request_id))


def _may_see(request: Request[State], found: Approval) -> bool:
    principal = request.state["principal"]
    return "approvals:decide" in principal.scopes or found.requester == principal.subject


def _wanted(request: Request[State], found: Approval, asked: ApprovalsQuery) -> bool:
    return (
        _may_see(request, found)
        and asked.action in (None, origin(found.origin).action)
        and asked.requester in (None, found.requester)
    )


def _cursor(text: str) -> tuple[int, str]:
    decide_by, dash, preview_id = text.partition("-")
    if not dash or not decide_by.isdecimal() or len(decide_by) > 15:
        raise invalid_cursor()
    return int(decide_by), preview_id


def _listed(found: Approval) -> ListedApproval:
    known: Origin = origin(found.origin)
    needs = asked_of(found).requirement.needs
    return ListedApproval(
        preview_id=found.preview_id,
        state="executed" if found.run_id else found.state,
        action=known.action,
        provider=known.provider,
        summary=_shown.decode(found.doc).summary if found.doc else None,
        digest=found.digest,
        requester=found.requester,
        rules=[
            RuleState(
                rule=need.rule,
                approvals=need.approvals,
                approvers=need.approvers,
                reason=need.reason,
                left=left,
            )
            for need, left in zip(needs, found.left, strict=True)
        ],
        deciders=[
            DeciderBody(
                subject=it.subject,
                key=it.key,
                role=it.role,
                decision=it.decision,
                reason=it.reason,
                decided_at=timestamp(it.at),
            )
            for it in found.deciders
        ],
        requested_at=timestamp(found.requested_at_ms),
        decide_by=timestamp(found.decide_by_ms),
        use_by=timestamp(found.use_by_ms) if found.use_by_ms else None,
        run_id=found.run_id or None,
    )


def _body(request: Request[State], found: Approval) -> ApprovalBody:
    wire: Wire | None = None
    warnings: Sequence[str] = ()
    if found.doc:
        wire, warnings = wire_of(stored_effect(found.doc)[0]), _shown.decode(found.doc).warnings
    fields = msgspec.structs.asdict(_listed(found))
    request_id = request.state["request_id"]
    return ApprovalBody(**fields, warnings=warnings, wire=wire, request_id=request_id)
