"""Runs: executions of previews, at most one per idempotency key and per preview.

`lua/reserve.lua` claims the key, spends the preview and opens the run in one step; `settle.lua`
ends it with its answer; `release.lua` gives it back. A run whose lease has ended without an
answer stays unknown: no other gateway takes it over.
"""

from datetime import timedelta

from stores.redis import names
from stores.redis.limits import buckets
from stores.redis.reservations import (
    Lost,
    NoRun,
    Released,
    Reservation,
    ReserveResult,
    Run,
    Settled,
    reserve_result,
    run_of,
)
from stores.redis.scripts import Scripts, UnknownAnswer

# How long a retry gets the stored answer (Stripe: at least 24 h).
RUN_TTL = timedelta(hours=24)
# How long a spent preview names its run.
TOMBSTONE_TTL = timedelta(days=7)
# How long a run that was given back cannot be opened by a command that arrives late.
RELEASED_TTL = timedelta(minutes=5)


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

    async def reserve(self, reservation: Reservation, *, lease: timedelta) -> ReserveResult:
        """Open the run of this reservation, or say what prevents that. Raises RedisUnavailable."""
        run, preview, of_key_name, *others = reservation.redis_keys()
        quotas = buckets(reservation.workspace, "execute", reservation.principal)
        approval = names.approval(reservation.workspace, reservation.preview_id)
        answer = await self._scripts.call(
            "reserve",
            [preview, of_key_name, run, *others, *quotas, approval],
            reservation.run_id,
            reservation.preview_id,
            names.run_prefix(reservation.workspace),
            lease,
            self._ttl,
            reservation.traceparent,
            reservation.trace_link,
            reservation.intent,
            *reservation.rates,
            *reservation.slots,
            " ".join(reservation.suspended),
        )
        return reserve_result(reservation, answer)

    async def inspect(self, workspace: str, run_id: str) -> Run | NoRun:
        """Raises RedisUnavailable."""
        match await self._scripts.call("inspect", [names.run(workspace, run_id)]):
            case [b"run", now_ms, fields]:
                return run_of(run_id, now_ms, fields)
            case [b"no_run"]:
                return NoRun()
            case other:
                raise UnknownAnswer(other)

    async def settle(
        self, reservation: Reservation, *, state: str, doc: bytes, ending: bytes = b"{}"
    ) -> Settled | Lost:
        """End the run with its answer, which retries get until it expires, and record the outcome.

        `ending`: the audit entry, JSON. Raises RedisUnavailable.
        """
        answer = await self._scripts.call(
            "settle",
            reservation.redis_keys(),
            reservation.run_id,
            state,
            doc,
            self._ttl,
            self._tombstone_ttl,
            names.changed(reservation.workspace, reservation.run_id),
            ending,
        )
        match answer:
            case [b"settled", expires_at_ms]:
                return Settled(expires_at_ms)
            case [b"lost"]:
                return Lost()
            case other:
                raise UnknownAnswer(other)

    async def release(self, reservation: Reservation, *, ending: bytes = b"{}") -> Released | Lost:
        """Give the key and the preview back, because nothing was sent. Raises RedisUnavailable."""
        channel = names.changed(reservation.workspace, reservation.run_id)
        answer = await self._scripts.call(
            "release", reservation.redis_keys(), reservation.run_id, channel, RELEASED_TTL, ending
        )
        match answer:
            case [b"released"]:
                return Released()
            case [b"lost"]:
                return Lost()
            case other:
                raise UnknownAnswer(other)
