"""The limits of a key, and the RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10).

A key gets at most RATE_LIMIT_*; its workspace gets the same unless it has limits of its own.
Without a limit of the key, one client could use all that its workspace has. A request that is
refused before the store was asked reports the quota of the last answer, refilled by the time since.
"""

import math
import time
from functools import lru_cache
from typing import Literal, NamedTuple

from starlette.responses import Response

from gateway.access.principal import Principal
from stores.redis.limits import Quota, Rates, Slots
from stores.sql import workspaces

Limited = Literal["preview", "execute"]

# How many principals' last quotas are kept; above it all are dropped and learnt anew.
KEPT_MAX = 10_000


class LimitSettings(NamedTuple):
    """RATE_LIMIT_ENABLED, RATE_LIMIT_PREVIEW, RATE_LIMIT_EXECUTE, RUNS_AT_ONCE and
    RUNS_AT_ONCE_PER_TARGET.
    """

    enabled: bool
    previews: int
    executes: int
    runs_at_once: int
    runs_at_once_per_target: int | None = None


class Limits(NamedTuple):
    previews: Rates
    executes: Rates
    slots: Slots


def key_limits(defaults: LimitSettings, own: workspaces.Limits) -> Limits:
    """The limits of a key in a workspace. RATE_LIMIT_ENABLED switches off rates alone: slots keep
    one slow target from taking all connections. A target gets half of the slots by default.
    """
    rates = (
        Rates(defaults.previews, own.preview or defaults.previews),
        Rates(defaults.executes, own.execute or defaults.executes),
    )
    if not defaults.enabled:
        rates = Rates(), Rates()
    total = own.runs_at_once or defaults.runs_at_once
    half = max(1, total // 2)
    per_target = defaults.runs_at_once_per_target or half
    if own.runs_at_once:
        per_target = min(per_target, half)
    return Limits(*rates, Slots(total, own.runs_at_once_per_target or per_target))


class _Seen(NamedTuple):
    quota: Quota
    at: float


class RateLimitHeaders:
    """Remembers the last quota of each principal."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, Limited], _Seen] = {}

    def add(
        self, response: Response, principal: Principal, limited: Limited, quota: Quota | None
    ) -> None:
        """`quota`: what the store answered; None where it was not asked."""
        rates = principal.previews if limited == "preview" else principal.executes
        if not any(rates):
            return
        now = time.monotonic()
        seen = self._last(principal, limited, quota, now)
        bound, left, seconds = _left(seen, rates, now) if seen else _smaller(rates)
        # None of these is set yet; `headers` would search for them, which takes 3 us.
        response.raw_headers += (
            (b"ratelimit-policy", _policy(rates)),
            (b"ratelimit", b'"%s";r=%d;t=%d' % (bound.encode(), left, seconds)),
        )

    def _last(
        self, principal: Principal, limited: Limited, quota: Quota | None, now: float
    ) -> _Seen | None:
        key = principal.workspace, principal.id, limited
        if quota is None:
            return self._seen.get(key)
        if len(self._seen) >= KEPT_MAX:
            self._seen.clear()
        seen = self._seen[key] = _Seen(quota, now)
        return seen


@lru_cache(maxsize=1000)
def _policy(rates: Rates) -> bytes:
    return b'"key";q=%d;w=60, "workspace";q=%d;w=60' % rates


def _smaller(rates: Rates) -> tuple[str, int, int]:
    """The smaller limit, untouched."""
    if rates.per_workspace < rates.per_key:
        return "workspace", rates.per_workspace, 0
    return "key", rates.per_key, 0


def _left(seen: _Seen, rates: Rates, now: float) -> tuple[str, int, int]:
    quota = seen.quota
    per_minute = rates.per_key if quota.bound == "key" else rates.per_workspace
    elapsed = now - seen.at
    left = min(per_minute, quota.left + int(elapsed * per_minute / 60))
    return quota.bound, left, math.ceil(max(0.0, quota.full_in.total_seconds() - elapsed))
