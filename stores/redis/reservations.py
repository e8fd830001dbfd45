"""Reservations of idempotency keys, the runs that they open, and every outcome of a script."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple, cast

from stores.approvals import State
from stores.redis import names
from stores.redis.approvals import approval_state
from stores.redis.limits import Limited, Quota, Rates, Slots, limited, quota
from stores.redis.previews import NoPreview, Spent
from stores.redis.scripts import RedisUnavailable

RunState = Literal["running", "success", "failed", "unknown"]


class Run(NamedTuple):
    """`origin`: of its preview, JSON; a settled run has it in its `doc` alone. `replays`: how
    often it was the answer since it ended; `replayed_at_ms`: the last time, or 0.
    """

    id: str
    preview_id: str
    origin: bytes
    started_at_ms: int
    lease_left: timedelta
    expires_at_ms: int
    doc: bytes | None
    state: str
    traceparent: str = ""
    trace_link: str = ""
    replays: int = 0
    replayed_at_ms: int = 0

    @property
    def in_flight(self) -> bool:
        return self.doc is None and not self.interrupted

    @property
    def interrupted(self) -> bool:
        """The lease is over without an answer: the outcome of the effect is unknown."""
        return self.doc is None and self.lease_left <= timedelta(0)

    @property
    def status(self) -> RunState:
        """Of the answer and the lease: the script that ends such runs may not have come yet."""
        if self.doc is None:
            return "unknown" if self.interrupted else "running"
        return cast("RunState", self.state)


class Reservation(NamedTuple):
    """A claim on an idempotency key, for one run of one preview.

    `traceparent` and `trace_link` belong to the request and are kept with the run. `intent`: the
    audit entry that the script writes if it reserves. `principal`: the key whose quota is spent.
    `suspended`: targets that are not tried now.
    """

    workspace: str
    key: str
    preview_id: str
    run_id: str
    traceparent: str = ""
    trace_link: str = ""
    intent: bytes = b"{}"
    principal: str = ""
    rates: Rates = Rates()
    slots: Slots = Slots()
    suspended: Sequence[str] = ()

    def redis_keys(self) -> tuple[str, str, str, str, str]:
        """Run, preview, reservation, outbox, runs in flight: the keys that ending a run changes."""
        return (
            names.run(self.workspace, self.run_id),
            names.preview(self.workspace, self.preview_id),
            names.reservation(self.workspace, self.key),
            names.outbox(self.workspace),
            names.in_flight(self.workspace),
        )


class Reserved(NamedTuple):
    """`by`: who asked for the preview. `granted`: who approved it and what was asked. JSON."""

    preview: bytes
    started_at_ms: int
    quota: Quota | None = None
    by: bytes | None = None
    granted: bytes | None = None


class KeyTaken(NamedTuple):
    """The key has a run, which is `in_flight`, or has the answer of this retry too.
    `other_preview`: the request names another known preview, and is refused.
    """

    run: Run
    other_preview: bool
    quota: Quota | None = None

    @property
    def in_flight(self) -> bool:
        return self.run.in_flight and not self.other_preview


class NotApproved(NamedTuple):
    """The preview waits for a decision, or the decision was no, or came too late."""

    preview_id: str
    state: State
    decide_by_ms: int
    quota: Quota | None = None


class Suspended(NamedTuple):
    """No run of the key exists, and the target of the preview is not tried now."""

    target: str
    quota: Quota | None = None


class Expired(NamedTuple):
    """The key or the preview had a run, whose answer has expired."""

    run_id: str
    quota: Quota | None = None


ReserveResult = (
    Reserved | KeyTaken | Expired | Spent | NoPreview | NotApproved | Suspended | Limited
)


class NoRun(NamedTuple):
    """The run has expired, was given back, or never existed."""


class Released(NamedTuple):
    """The key and the preview can be used again."""


class Settled(NamedTuple):
    expires_at_ms: int


class Lost(NamedTuple):
    """The run cannot be ended by this gateway any more: its lease is over, or it is gone."""


def reserve_result(reservation: Reservation, answer: list[Any]) -> ReserveResult:
    """Decode an answer of reserve.lua. Raises RedisUnavailable if the run was given back before."""
    match answer:
        case [b"reserved", left, started_at_ms, doc, by, granted]:
            return Reserved(doc, started_at_ms, quota(left), by, granted)
        case [b"key_taken", left, holder, now_ms, fields, known]:
            taken = run_of(holder.decode(), now_ms, fields)
            other_preview = known == 1 and taken.preview_id != reservation.preview_id
            return KeyTaken(taken, other_preview, quota(left))
        case [b"expired", left, holder]:
            return Expired(holder.decode(), quota(left))
        case [b"spent", left, holder]:
            return Spent(holder.decode(), quota(left))
        case [b"not_approved", left, state, decide_by_ms]:
            state = approval_state(state)
            return NotApproved(reservation.preview_id, state, decide_by_ms, quota(left))
        case other:
            return _not_reserved(other)


def _not_reserved(answer: list[Any]) -> NoPreview | Suspended | Limited:
    match answer:
        case [b"no_preview", left, *_]:
            return NoPreview(quota(left))
        case [b"suspended", left, target]:
            return Suspended(target.decode(), quota(left))
        case [b"released", _]:
            raise RedisUnavailable("the run was given back before it was opened")
        case other:
            return limited(other)


def run_of(run_id: str, now_ms: int, fields: list[Any]) -> Run:
    record: dict[bytes, bytes] = dict(zip(fields[::2], fields[1::2], strict=True))
    return Run(
        id=run_id,
        preview_id=record[b"preview"].decode(),
        origin=record.get(b"origin", b"{}"),
        started_at_ms=int(record[b"started_at"]),
        lease_left=timedelta(milliseconds=int(record[b"lease_until"]) - now_ms),
        expires_at_ms=int(record[b"expires_at"]),
        doc=record.get(b"doc"),
        state=record[b"state"].decode(),
        traceparent=record.get(b"traceparent", b"").decode(),
        trace_link=record.get(b"trace_link", b"").decode(),
        replays=int(record.get(b"replays", 0)),
        replayed_at_ms=int(record.get(b"replayed_at", 0)),
    )
