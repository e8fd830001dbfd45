"""The stored preview and run documents.

A document is the bytes of the answer without the members of one request (`request_id`, and a
preview's `expires_at`, which is the server's clock) and a preview's `wire`, which repeats its
effect; those are added to each answer, so that a replay is the first answer byte for byte.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.actions.action import Action
from gateway.approvals.documents import ApprovedBy
from gateway.effects import Credential, Effect
from gateway.http.responses import ApprovalNeeded
from gateway.outcomes import Answered, NoResponse, NotSentReason, run_status
from gateway.timestamps import Timestamp, timestamp
from stores.redis.reservations import Reservation, Run

SentCode = Literal[
    "target_status", "target_refused", "unclear_answer", "no_response", "interrupted", "forgotten"
]
NotSentCode = Literal[NotSentReason, "target_forbidden", "store_unavailable"]


class RunError(Struct, kw_only=True):
    """Why a run is no success. `safe_to_retry`: nothing was sent."""

    code: SentCode | NotSentCode
    detail: str
    safe_to_retry: bool = False


class Origin(Struct):
    """What a run keeps of its preview."""

    action: str
    provider: str


class KeptOrigin(Origin, omit_defaults=True):
    digest: str
    method: str
    host: str
    connection: str = ""
    label: str = ""
    account: str = ""


class StoredEffect(Struct, kw_only=True):
    """`headers`: all but those named in `added_when_sent`. `body`: the exact bytes, as text;
    `body_base64` where they are not UTF-8. `digest`: `sha256:` and, in hex, the SHA-256 of
    `wire.head` in UTF-8 and the bytes of `wire.body` right behind it. `credential`: as whom it is
    sent, which the digest does not cover. `judge`: what tells success, `status` for 2xx or `json:`
    and a pointer into the answer (RFC 6901).
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    body_base64: str | UnsetType = UNSET
    digest: str
    added_when_sent: Sequence[str] = ()
    credential: Credential | None = None
    judge: str = "status"


class Wire(Struct, kw_only=True):
    """The text that the digest covers. `head`: a line `METHOD URL`, a line `name: value` for each
    header in its order and an empty line, each ended by a line feed. `body` is empty if the request
    has none; `body_base64` stands for it where its bytes are not UTF-8.
    """

    head: str
    body: str | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET


class EffectBody(StoredEffect, kw_only=True):
    wire: Wire


class PreviewDocument(Struct, kw_only=True):
    """`effect` comes last, so that an answer can add `wire` to it."""

    preview_id: str
    action: str
    provider: str
    summary: str
    params: Raw
    warnings: Sequence[str]
    effect: StoredEffect


class PreviewBody(PreviewDocument, kw_only=True):
    """`approval`: what has to happen before this can be executed; null if nothing has to."""

    effect: EffectBody
    expires_at: Timestamp
    approval: ApprovalNeeded | None
    request_id: str


class Result(Struct, kw_only=True):
    """`response`: the first 16 KiB as text; `truncated`: there was more."""

    status_code: int
    response: str
    truncated: bool


class RunDocument(Struct, kw_only=True):
    run_id: str
    preview_id: str
    action: str
    provider: str
    status: Literal["running", "success", "failed", "unknown", "not_sent"]
    result: Result | None = None
    error: RunError | None = None
    duration_ms: int | None = None
    started_at: Timestamp
    trace_link: str | None = None
    approval: ApprovedBy | None = None


class RunBody(RunDocument, kw_only=True):
    request_id: str


class _Stored(Origin):
    effect: StoredEffect


_stored = msgspec.json.Decoder(_Stored)
_origin = msgspec.json.Decoder(Origin)
origin = _origin.decode


def with_request_fields(document: bytes, **fields: object) -> bytes:
    """The document with these members appended."""
    return document[:-1] + b"," + msgspec.json.encode(fields)[1:]


def preview_answer(document: bytes, effect: Effect, **fields: object) -> bytes:
    """A stored preview with what is not stored: `wire`, and these members."""
    wire = wire_of(effect)
    with_wire = document[:-2] + b',"wire":' + msgspec.json.encode(wire) + b"}}"
    return with_request_fields(with_wire, **fields)


def wire_of(effect: Effect) -> Wire:
    text, base64 = _body(effect.body or b"")
    return Wire(head=effect.head, body=UNSET if text is None else text, body_base64=base64)


def preview_document(
    preview_id: str,
    action: Action[Struct],
    params: Raw,
    effect: Effect,
    warnings: Sequence[str],
    *,
    added_when_sent: Sequence[str] = (),
) -> tuple[bytes, bytes]:
    """The document and its origin."""
    document = PreviewDocument(
        preview_id=preview_id,
        action=action.name,
        provider=action.provider,
        summary=effect.summary,
        params=params,
        warnings=warnings,
        effect=_stored_effect(effect, added_when_sent),
    )
    origin = KeptOrigin(
        action=action.name,
        provider=action.provider,
        digest=document.effect.digest,
        method=effect.method,
        host=effect.target.rpartition(":")[0],
    )
    if who := effect.credential:
        origin.connection, origin.label, origin.account = who.connection, who.label, who.account
    return msgspec.json.encode(document), msgspec.json.encode(origin)


def _stored_effect(effect: Effect, added_when_sent: Sequence[str]) -> StoredEffect:
    text, base64 = _body(effect.body)
    return StoredEffect(
        method=effect.method,
        url=effect.url,
        headers=effect.headers,
        body=text,
        body_base64=base64,
        digest=effect.digest,
        added_when_sent=added_when_sent,
        credential=effect.credential,
        judge=effect.judge,
    )


def _body(body: bytes | None) -> tuple[str | None, str | UnsetType]:
    """The body as text, or in base64 where it is not UTF-8."""
    try:
        return None if body is None else body.decode(), UNSET
    except UnicodeDecodeError:
        return None, b64encode(body or b"").decode()


def stored_effect(document: bytes) -> tuple[Effect, Origin]:
    """The effect and the origin of a stored preview document."""
    stored = _stored.decode(document)
    body = None if stored.effect.body is None else stored.effect.body.encode()
    if stored.effect.body_base64 is not UNSET:
        body = b64decode(stored.effect.body_base64)
    effect = Effect(
        method=stored.effect.method,
        url=stored.effect.url,
        headers=stored.effect.headers,
        body=body,
        summary="",
        credential=stored.effect.credential,
        judge=stored.effect.judge,
    )
    return effect, stored


def outcome_document(
    outcome: Answered | NoResponse,
    reservation: Reservation,
    origin: Origin,
    *,
    started_at_ms: int,
    duration_ms: int,
) -> RunDocument:
    """The run with its outcome."""
    run = RunDocument(
        run_id=reservation.run_id,
        preview_id=reservation.preview_id,
        action=origin.action,
        provider=origin.provider,
        status=run_status(outcome).status,
        duration_ms=duration_ms,
        started_at=timestamp(started_at_ms),
        trace_link=reservation.trace_link or None,
    )
    match outcome:
        case NoResponse(detail):
            run.error = RunError(code="no_response", detail=detail)
        case Answered(status_code=code, response=response, truncated=truncated):
            run.result = Result(status_code=code, response=response, truncated=truncated)
            run.error = recorded_error(run_status(outcome).reason, code)
    return run


def run_answer(run: Run) -> bytes:
    """The stored answer of a run, or the document of one that has none."""
    if run.doc is not None:
        return run.doc
    origin = _origin.decode(run.origin)
    document = RunDocument(
        run_id=run.id,
        preview_id=run.preview_id,
        action=origin.action,
        provider=origin.provider,
        status=run.status,
        error=recorded_error("interrupted", None) if run.interrupted else None,
        started_at=timestamp(run.started_at_ms),
        trace_link=run.trace_link or None,
    )
    return msgspec.json.encode(document)


# Of runs that were sent, or may have been; {} is the status of the answer.
_DETAILS: Mapping[Any, str] = {
    "target_status": "The target answered {}.",
    "target_refused": "The target answered {} and says in its body that it refuses.",
    "unclear_answer": "The target answered {}, but its body does not say what it did.",
    "no_response": "No complete answer came back.",
    "interrupted": "The lease of this run ended before its outcome was stored.",
    "forgotten": "The store lost this run before its outcome was recorded.",
}
_NOT_SENT: dict[str, RunError] = {
    code: RunError(code=code, detail="Nothing was sent.", safe_to_retry=True)
    for code in get_args(NotSentCode)
}


def recorded_error(reason: str | None, status_code: int | None) -> RunError | None:
    """The error of a run as its audit entries record it; None for a success or a run without an
    outcome.
    """
    code: Any = reason
    if code in _DETAILS:
        return RunError(code=code, detail=_DETAILS[code].format(status_code or 0))
    return _NOT_SENT.get(reason or "")
