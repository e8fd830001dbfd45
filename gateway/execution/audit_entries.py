"""The audit entries of a run: its intent before the send, and its outcome."""

from hashlib import sha256

import msgspec

from gateway.access.principal import Principal
from gateway.execution.documents import RunDocument
from stores.audit_entries import Entry
from stores.redis.reservations import Reservation


def run_intended(
    principal: Principal, key: str, preview_id: str, run_id: str, *, link: str, signed: bool
) -> bytes:
    """The entry `run.intended`; the script adds the preview's action, digest, requester and
    approval.
    """
    entry = Entry(
        event="run.intended",
        principal=principal.id,
        address=principal.address,
        request_id=principal.request_id,
        preview_id=preview_id,
        run_id=run_id,
        key_hash=sha256(key.encode()).hexdigest(),
        trace_link=link,
        signed=signed,
        via=principal.via,
    )
    return msgspec.json.encode(entry)


def run_ended(reservation: Reservation, run: RunDocument) -> bytes:
    """The entry `run.ended` of a run that was sent: the status of the answer, not its body."""
    entry = Entry(
        event="run.ended",
        principal=reservation.principal,
        preview_id=reservation.preview_id,
        run_id=reservation.run_id,
        action=run.action,
        provider=run.provider,
        status=run.status,
        reason=run.error.code if run.error else "",
        status_code=run.result.status_code if run.result else 0,
        duration_ms=run.duration_ms or 0,
    )
    return msgspec.json.encode(entry)


def run_not_sent(reservation: Reservation, reason: str) -> bytes:
    """The entry `run.ended` of a run that was not sent."""
    entry = Entry(
        event="run.ended",
        principal=reservation.principal,
        preview_id=reservation.preview_id,
        run_id=reservation.run_id,
        status="not_sent",
        reason=reason,
    )
    return msgspec.json.encode(entry)
