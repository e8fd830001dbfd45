"""The documents that are stored: what a preview and a run say, byte for byte.

A document is the answer to a request, less the members that belong to the
moment (`request_id`); those are put on its end, so that a replay is the first
answer again.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.actions.action import Action
from gateway.effects import Effect
from gateway.execution.run_errors import INTERRUPTED, RunError, no_response, target_status
from gateway.outcomes import Answered, NoResponse
from stores.redis.reservations import Reservation, Run

Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Origin(Struct):
    """What a run still says of its preview once that is gone."""

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


def with_request_fields(document: bytes, **moment: str) -> bytes:
    """The document with members on its end."""
    return document[:-1] + b"," + msgspec.json.encode(moment)[1:]


def timestamp(epoch_ms: int) -> str:
    """RFC 3339 with milliseconds, UTC."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


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
    """What `preview_document` was made of."""
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
    """The run with what became of it."""
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
            run.error = no_response(detail)
        case Answered(status_code=code, response=response, truncated=truncated):
            run.result = Result(status_code=code, response=response, truncated=truncated)
            run.status = "success" if outcome.success else "failed"
            run.error = None if outcome.success else target_status(code)
    return run


def run_answer(run: Run) -> bytes:
    """The settled answer, or what is to be said of a run without one."""
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
