"""The stored preview and run documents.

A document is the bytes of the answer without the members of one request (`request_id`, and a
preview's `expires_at`, which is the server's clock); those are appended to each answer, so that a
replay is the first answer byte for byte.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import msgspec
from msgspec import Raw, Struct

from gateway.actions.action import Action
from gateway.effects import Effect
from gateway.outcomes import Answered, NoResponse
from gateway.timestamps import Timestamp, timestamp
from stores.redis.reservations import Reservation, Run

NotSentCode = Literal["target_unreachable", "target_forbidden", "store_unavailable"]


class RunError(Struct, kw_only=True):
    """Why a run is no success. `safe_to_retry`: nothing was sent."""

    code: Literal["target_status", "no_response", "interrupted", "forgotten"] | NotSentCode
    detail: str
    safe_to_retry: bool = False


class Origin(Struct):
    """What a run keeps of its preview."""

    action: str
    provider: str


class KeptOrigin(Origin):
    digest: str


class EffectBody(Struct):
    """`headers`: all but Host, Content-Length and the signatures. `body`: the exact bytes."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    digest: str


class PreviewDocument(Struct, kw_only=True):
    preview_id: str
    action: str
    provider: str
    summary: str
    params: Raw
    warnings: Sequence[str]
    effect: EffectBody


class PreviewBody(PreviewDocument, kw_only=True):
    expires_at: Timestamp
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


class RunBody(RunDocument, kw_only=True):
    request_id: str


class _Stored(Origin):
    effect: EffectBody


_stored = msgspec.json.Decoder(_Stored)
_origin = msgspec.json.Decoder(Origin)
origin = _origin.decode


def with_request_fields(document: bytes, **fields: str) -> bytes:
    """The document with these members appended."""
    return document[:-1] + b"," + msgspec.json.encode(fields)[1:]


def preview_document(
    preview_id: str, action: Action[Struct], params: Raw, effect: Effect, warnings: Sequence[str]
) -> tuple[bytes, bytes]:
    """The document and its origin."""
    document = PreviewDocument(
        preview_id=preview_id,
        action=action.name,
        provider=action.provider,
        summary=effect.summary,
        params=params,
        warnings=[*effect.warnings, *warnings],
        effect=EffectBody(
            method=effect.method,
            url=effect.url,
            headers=effect.headers,
            body=None if effect.body is None else effect.body.decode(),
            digest=effect.digest,
        ),
    )
    origin = KeptOrigin(action=action.name, provider=action.provider, digest=document.effect.digest)
    return msgspec.json.encode(document), msgspec.json.encode(origin)


def stored_effect(document: bytes) -> tuple[Effect, Origin]:
    """The effect and the origin of a stored preview document."""
    stored = _stored.decode(document)
    effect = Effect(
        method=stored.effect.method,
        url=stored.effect.url,
        headers=stored.effect.headers,
        body=None if stored.effect.body is None else stored.effect.body.encode(),
        summary="",
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
        status="unknown",
        duration_ms=duration_ms,
        started_at=timestamp(started_at_ms),
        trace_link=reservation.trace_link or None,
    )
    match outcome:
        case NoResponse(detail):
            run.error = RunError(code="no_response", detail=detail)
        case Answered(status_code=code, response=response, truncated=truncated):
            run.result = Result(status_code=code, response=response, truncated=truncated)
            run.status = "success" if outcome.success else "failed"
            run.error = None if outcome.success else _target_status(code)
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
        status="unknown" if run.interrupted else "running",
        error=INTERRUPTED if run.interrupted else None,
        started_at=timestamp(run.started_at_ms),
        trace_link=run.trace_link or None,
    )
    return msgspec.json.encode(document)


INTERRUPTED = RunError(
    code="interrupted",
    detail="The gateway that sent this ended before the answer was stored.",
)
_NOT_SENT: dict[str, RunError] = {
    code: RunError(code=code, detail="Nothing was sent.", safe_to_retry=True)
    for code in get_args(NotSentCode)
}


def _target_status(status_code: int) -> RunError:
    return RunError(code="target_status", detail=f"The target answered {status_code}.")


def recorded_error(reason: str | None, status_code: int | None) -> RunError | None:
    """The error of a run as its audit entries record it; None for a success or a run without an
    outcome.
    """
    match reason:
        case "target_status":
            return _target_status(status_code or 0)
        case "no_response":
            return RunError(code="no_response", detail="No complete answer came back.")
        case "interrupted":
            return INTERRUPTED
        case "forgotten":
            lost = "The store lost this run before its outcome was recorded."
            return RunError(code="forgotten", detail=lost)
        case _:
            return _NOT_SENT.get(reason or "")
