"""Runs: executions of previews, at most one per idempotency key and per preview.

`lua/reserve.lua` claims the key, spends the preview and opens the run in one
step; `settle.lua` ends it with its answer; `release.lua` gives it back. A run
whose lease has ended without an answer is unknown for good: no one takes it over.
"""

from datetime import timedelta

from stores.redis import names
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

# How long a retry finds its answer (Stripe: at least 24 h).
RUN_TTL = timedelta(hours=24)
# How long a spent preview still says which run it became.
TOMBSTONE_TTL = timedelta(days=7)
# How long a run that was given back is kept from being opened by a command that comes late.
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
        """Open the run that is claimed, or say who holds the key. Raises RedisUnavailable."""
        run, preview, of_key_name, *others = reservation.redis_keys()
        of_key = names.bucket(reservation.workspace, "execute", reservation.principal)
        of_workspace = names.bucket(reservation.workspace, "execute")
        answer = await self._scripts.call(
            "reserve",
            [preview, of_key_name, run, *others, of_key, of_workspace],
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
        """End the run with its answer, for as long as retries may ask, and tell the audit.

        `ending`: the entry, JSON. Raises RedisUnavailable.
        """
        answer = await self._scripts.call(
            "settle",
            reservation.redis_keys(),
            reservation.run_id,
            state,
            doc,
            self._ttl,
            self._tombstone_ttl,
            names.settled(reservation.workspace, reservation.run_id),
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
        """Give key and preview back: nothing was sent. Raises RedisUnavailable."""
        channel = names.settled(reservation.workspace, reservation.run_id)
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
