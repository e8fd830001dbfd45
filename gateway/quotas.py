"""RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10): what may be asked, what is left.

A request that was refused before the store was asked says what this process heard last of the
quota, refilled by the time since.
"""

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gateway.principals import Principal
from stores.limits import Quota, Rates

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
                response.headers.update(self._headers(principal, verb, rates))
        return response

    def _headers(self, principal: Principal, verb: str, rates: Rates) -> dict[str, str]:
        now, who = time.monotonic(), (principal.workspace, principal.id, verb)
        if principal.quota:
            if len(self._heard) >= KEPT_MAX:
                self._heard.clear()
            self._heard[who] = _Heard(principal.quota, now)
        heard = self._heard.get(who)
        policies = {"key": rates.per_key, "workspace": rates.per_workspace}
        least = min(policies.items(), key=lambda policy: policy[1])
        bound, left, seconds = _left(heard, rates, now) if heard else (*least, 0)
        return {
            "RateLimit-Policy": ", ".join(f'"{name}";q={q};w=60' for name, q in policies.items()),
            "RateLimit": f'"{bound}";r={left};t={seconds}',
        }


def _left(heard: _Heard, rates: Rates, now: float) -> tuple[str, int, int]:
    quota = heard.quota
    per_minute = rates.per_key if quota.bound == "key" else rates.per_workspace
    gone = now - heard.at
    left = min(per_minute, quota.left + int(gone * per_minute / 60))
    return quota.bound, left, math.ceil(max(0.0, quota.full_in.total_seconds() - gone))
