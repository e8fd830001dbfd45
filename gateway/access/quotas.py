"""RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10): what may be asked, what is left.

A request that was refused before the store was asked says what this process heard last of the
quota, refilled by the time since.
"""

import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gateway.access.principal import Principal
from stores.redis.limits import Quota, Rates

LIMITED: Mapping[str, str] = {"/actions/preview": "preview", "/actions/execute": "execute"}
# Principals whose last quota is kept; above it all are forgotten, and heard of again.
KEPT_MAX = 10_000


class _Heard(NamedTuple):
    quota: Quota
    at: float


class Quotas:
    def __init__(self) -> None:
        self._heard: dict[tuple[str, str, str], _Heard] = {}

    def tell(self, request: Request[Any], response: Response) -> Response:
        """Put the headers on the answer of a limited route."""
        principal: Principal | None = request.scope["state"].get("principal")
        verb = LIMITED.get(request.scope["path"])
        if principal and verb:
            rates = principal.previews if verb == "preview" else principal.executes
            if any(rates):
                now = time.monotonic()
                heard = self._hear(principal, verb, now)
                bound, left, seconds = _left(heard, rates, now) if heard else _least(rates)
                # No name of these is there yet: `headers` would look, which takes 3 us.
                response.raw_headers += (
                    (b"ratelimit-policy", _policy(rates)),
                    (b"ratelimit", b'"%s";r=%d;t=%d' % (bound.encode(), left, seconds)),
                )
        return response

    def _hear(self, principal: Principal, verb: str, now: float) -> _Heard | None:
        who = principal.workspace, principal.id, verb
        if principal.quota is None:
            return self._heard.get(who)
        if len(self._heard) >= KEPT_MAX:
            self._heard.clear()
        heard = self._heard[who] = _Heard(principal.quota, now)
        return heard


@lru_cache(maxsize=1000)
def _policy(rates: Rates) -> bytes:
    return b'"key";q=%d;w=60, "workspace";q=%d;w=60' % rates


def _least(rates: Rates) -> tuple[str, int, int]:
    """Of which was never heard: all of the smaller one."""
    if rates.per_workspace < rates.per_key:
        return "workspace", rates.per_workspace, 0
    return "key", rates.per_key, 0


def _left(heard: _Heard, rates: Rates, now: float) -> tuple[str, int, int]:
    quota = heard.quota
    per_minute = rates.per_key if quota.bound == "key" else rates.per_workspace
    gone = now - heard.at
    left = min(per_minute, quota.left + int(gone * per_minute / 60))
    return quota.bound, left, math.ceil(max(0.0, quota.full_in.total_seconds() - gone))
