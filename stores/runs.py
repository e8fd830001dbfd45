"""Runs: executions of previews, at most one per idempotency key and per preview.

`lua/reserve.lua` claims the key, spends the preview and opens the run in one
step; `settle.lua` ends it with its answer; `release.lua` gives it back. A run
whose lease is over without an answer is unknown for good: nobody takes it over.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from stores import keys
from stores.previews import NoPreview, Spent
from stores.scripts import Scripts, StoreUnavailable, UnknownAnswer

# How long a retry finds its answer (Stripe: at least 24 h).
RUN_TTL = timedelta(hours=24)
# How long a spent preview still says which run it became.
TOMBSTONE_TTL = timedelta(days=7)
# How long a run that was given back is kept from being opened by a command that comes late.
RELEASED_TTL = timedelta(minutes=5)


class Run(NamedTuple):
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

    @property
    def in_flight(self) -> bool:
        return self.doc is None and not self.interrupted

    @property
    def interrupted(self) -> bool:
        """The lease is over and no answer came: what became of the effect is unknown."""
        return self.doc is None and self.lease_left <= timedelta(0)


class Reservation(NamedTuple):
    """A claim on an idempotency key, for one run of one preview.

    `traceparent`, `trace_link`: of the request that claims; kept with the run.
    """

    workspace: str
    key: str
    preview_id: str
    run_id: str
    traceparent: str = ""
    trace_link: str = ""

    def redis_keys(self) -> tuple[str, str, str]:
        """Run, preview, reservation: what ends a run touches."""
        return (
            keys.run(self.workspace, self.run_id),
            keys.preview(self.workspace, self.preview_id),
            keys.reservation(self.workspace, self.key),
        )


class Reserved(NamedTuple):
    preview: bytes
    started_at_ms: int


class Taken(NamedTuple):
    """The key belongs to a run. `reused`: it was asked for with another known preview."""

    run: Run
    reused: bool

    @property
    def in_flight(self) -> bool:
        return self.run.in_flight and not self.reused


class Expired(NamedTuple):
    """There was a run; its answer is gone."""

    run_id: str


Claimed = Reserved | Taken | Expired | Spent | NoPreview


class NoRun(NamedTuple):
    """Forgotten, or never was."""


class Settled(NamedTuple):
    expires_at_ms: int


class Lost(NamedTuple):
    """The run is not ours to end any more."""


class Runs:
    def __init__(
        self,
        scripts: Scripts,
        *,
        ttl: timedelta = RUN_TTL,
        tombstone_ttl: timedelta = TOMBSTONE_TTL,
    ) -> None:
        self._scripts = scripts
        self._ttl = ttl
        self._tombstone_ttl = tombstone_ttl

    async def reserve(self, claim: Reservation, *, lease: timedelta) -> Claimed:
        """Open the run that is claimed, or say who holds the key. Raises StoreUnavailable."""
        run, preview, reservation = claim.redis_keys()
        answer = await self._scripts.call(
            "reserve",
            [preview, reservation, run],
            claim.run_id,
            claim.preview_id,
            keys.run_prefix(claim.workspace),
            lease,
            self._ttl,
            claim.traceparent,
            claim.trace_link,
        )
        return _reservation(claim, answer)

    async def inspect(self, workspace: str, run_id: str) -> Run | NoRun:
        """Raises StoreUnavailable."""
        match await self._scripts.call("inspect", [keys.run(workspace, run_id)]):
            case [b"run", now_ms, fields]:
                return _run(run_id, now_ms, fields)
            case [b"no_run"]:
                return NoRun()
            case other:
                raise UnknownAnswer(other)

    async def settle(self, claim: Reservation, *, state: str, doc: bytes) -> Settled | Lost:
        """End the run with its answer, for as long as retries may ask. Raises StoreUnavailable."""
        answer = await self._scripts.call(
            "settle",
            claim.redis_keys(),
            claim.run_id,
            state,
            doc,
            self._ttl,
            self._tombstone_ttl,
            keys.settled(claim.workspace, claim.run_id),
        )
        match answer:
            case [b"settled", expires_at_ms]:
                return Settled(expires_at_ms)
            case [b"lost"]:
                return Lost()
            case other:
                raise UnknownAnswer(other)

    async def release(self, claim: Reservation) -> None:
        """Give key and preview back: nothing was sent. Raises StoreUnavailable."""
        channel = keys.settled(claim.workspace, claim.run_id)
        await self._scripts.call("release", claim.redis_keys(), claim.run_id, channel, RELEASED_TTL)


def _reservation(claim: Reservation, answer: list[Any]) -> Claimed:
    match answer:
        case [b"reserved", started_at_ms, doc]:
            return Reserved(doc, started_at_ms)
        case [b"taken", holder, now_ms, fields, known]:
            taken = _run(holder.decode(), now_ms, fields)
            return Taken(taken, reused=known == 1 and taken.preview_id != claim.preview_id)
        case [b"expired", holder]:
            return Expired(holder.decode())
        case [b"spent", holder]:
            return Spent(holder.decode())
        case [b"released"]:
            raise StoreUnavailable("the run was given back before it was opened")
        case [b"no_preview"]:
            return NoPreview()
        case other:
            raise UnknownAnswer(other)


def _run(run_id: str, now_ms: int, fields: list[Any]) -> Run:
    record: dict[bytes, bytes] = dict(zip(fields[::2], fields[1::2], strict=True))
    return Run(
        id=run_id,
        preview_id=record[b"preview"].decode(),
        origin=record[b"origin"],
        started_at_ms=int(record[b"started_at"]),
        lease_left=timedelta(milliseconds=int(record[b"lease_until"]) - now_ms),
        expires_at_ms=int(record[b"expires_at"]),
        doc=record.get(b"doc"),
        state=record[b"state"].decode(),
        traceparent=record.get(b"traceparent", b"").decode(),
        trace_link=record.get(b"trace_link", b"").decode(),
    )
