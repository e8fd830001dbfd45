"""Admission: who asks, may he, how often; before any work, and without waiting for anything.

What has no row in the table is not served. A key is looked up by its public id in the roster;
one that nobody has costs what a wrong one costs.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Any, NamedTuple

from starlette.requests import Request

from gateway import problems
from gateway.access.api_keys import NO_DIGEST, Parsed, matches, parse
from gateway.access.key_cache import KeyCache
from gateway.access.principal import Principal
from gateway.access.roles import Scope
from gateway.access.snapshot import CachedKey, Limits
from gateway.config.parsers import Network
from gateway.config.settings import Settings
from gateway.telemetry.spans import annotate
from stores.audit_entries import NOWHERE
from stores.redis.limits import Rates, Slots

# None: for everybody. Probes and scrapers bring no key, and find no workspace's affairs here.
ROUTE_SCOPES: Mapping[tuple[str, str], Scope | None] = {
    ("POST", "/actions/preview"): "actions:preview",
    ("POST", "/actions/execute"): "actions:execute",
    ("GET", "/actions"): "actions:read",
    ("GET", "/previews/{preview_id}"): "previews:read",
    ("GET", "/runs"): "runs:read",
    ("GET", "/runs/{run_id}"): "runs:read",
    ("GET", "/audit"): "audit:read",
    ("GET", "/keys"): "keys:manage",
    ("POST", "/keys"): "keys:manage",
    ("DELETE", "/keys/{key_id}"): "keys:manage",
    ("POST", "/keys/{key_id}/rotate"): "keys:manage",
    ("GET", "/secrets"): "secrets:manage",
    ("POST", "/secrets"): "secrets:manage",
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
    ("GET", "/version"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
}

BEARER = re.compile(r"Bearer +([!-~]+) *", re.IGNORECASE)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="relay"'}


class Admission:
    def __init__(
        self, settings: Settings, key_cache: KeyCache, peppers: Callable[[], Sequence[bytes]]
    ) -> None:
        """`peppers`: asked for once there is a key to compare with."""
        self._settings = settings
        self._roster = key_cache
        self._peppers = peppers
        self._bounds = lru_cache(maxsize=1000)(partial(bounds, settings))

    def admit(self, request: Request[Any], scope: Scope) -> Principal:
        """Raises Unauthenticated, Forbidden and StoreUnavailable."""
        address = client_address(request, self._settings.trusted_proxies)
        state = request.scope["state"]
        state["principal"] = stranger(address, state["request_id"])
        if self._roster.suspension.was_suspended:  # a key may have been revoked meanwhile
            raise _not_yet("This gateway was stopped for a while and reads its keys again.")
        if not self._roster.known:
            raise _not_yet("This gateway has not read its keys yet: the database does not answer.")
        state["principal"] = principal = self._principal(request, address)
        annotate(workspace=principal.workspace, principal=principal.id)
        if scope not in principal.scopes:
            raise problems.Forbidden(f"This takes the scope {scope}.")
        return principal

    def _principal(self, request: Request[Any], address: str) -> Principal:
        request_id = request.scope["state"]["request_id"]
        given = request.headers.getlist("authorization")
        if not given and self.open:
            return self._limited(Principal(address=address, request_id=request_id))
        key = _key(given)
        known = self._roster.find(key.id)
        genuine = matches(self._peppers(), key.text, known.digest if known else NO_DIGEST)
        if known is None or not genuine:
            if workspace := self._roster.workspace_of(key.id):  # whose audit is told
                refused = request.state["principal"]
                refused.workspace, refused.named = workspace, key.id
            raise problems.Unauthenticated(
                "This key is unknown, or it has expired or was revoked.", headers=CHALLENGE
            )
        self._roster.used(known.id)
        return self._limited(_principal(known, address, request_id))

    @property
    def open(self) -> bool:
        """Whether everybody may do everything: in development, as long as no key was made."""
        return not self._settings.production and not self._roster.any_made

    def _limited(self, principal: Principal) -> Principal:
        bounds = self._bounds(self._roster.limits(principal.workspace))
        principal.previews, principal.executes, principal.slots = bounds
        return principal


def _not_yet(detail: str) -> problems.StoreUnavailable:
    headers = {"Retry-After": "1"}
    return problems.StoreUnavailable(detail, safe_to_retry=True, headers=headers)


def stranger(address: str, request_id: str) -> Principal:
    """Who has not said who he is."""
    return Principal(workspace=NOWHERE, scopes=frozenset(), address=address, request_id=request_id)


class Bounds(NamedTuple):
    previews: Rates
    executes: Rates
    slots: Slots


def bounds(settings: Settings, own: Limits) -> Bounds:
    """Of a key, in a workspace with limits of its own. RATE_LIMIT_ENABLED is about rates alone:
    places keep one slow target from taking all.
    """
    previews, executes = settings.preview_limit, settings.execute_limit
    rates = Rates(previews, own.preview or previews), Rates(executes, own.execute or executes)
    if not settings.rate_limit_enabled:
        rates = Rates(), Rates()
    total = own.runs_at_once or settings.runs_at_once
    half = max(1, total // 2)
    of_all = settings.runs_at_once_per_target or half
    of_own = min(of_all, half) if own.runs_at_once else of_all
    return Bounds(*rates, Slots(total, own.runs_at_once_per_target or of_own))


def _principal(known: CachedKey, address: str, request_id: str) -> Principal:
    return Principal(
        workspace=known.workspace,
        id=known.id,
        live=known.live,
        scopes=known.scopes,
        address=address,
        request_id=request_id,
    )


def _key(given: Sequence[str]) -> Parsed:
    """Raises Unauthenticated."""
    bearer = BEARER.fullmatch(given[0]) if given else None
    if bearer is None or len(given) > 1:
        raise problems.Unauthenticated(
            "Send one header: Authorization: Bearer and an API key.", headers=CHALLENGE
        )
    if (key := parse(bearer[1])) is None:
        raise problems.Unauthenticated("This is not an API key of Relay.", headers=CHALLENGE)
    return key


def client_address(request: Request[Any], proxies: Sequence[Network]) -> str:
    """Who is at the other end; through proxies that are trusted, whom the last of them saw.

    Read from the right: what a stranger put into X-Forwarded-For stands left of that.
    """
    address: str = client[0] if (client := request.scope.get("client")) else ""
    if not proxies:
        return address
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    while forwarded and _within(address, proxies):
        before = forwarded.pop().strip()
        if not _is_address(before):
            break
        address = before
    return address


def _within(address: str, networks: Sequence[Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
