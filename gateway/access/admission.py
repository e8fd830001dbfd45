"""Authenticate and authorise each request before any work, without I/O.

A key is looked up in memory by its public id. An unknown id costs the same time as a wrong secret.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request

from gateway import problems
from gateway.access.api_keys import NO_DIGEST, Parsed, matches, parse
from gateway.access.key_cache import KeyCache
from gateway.access.limits import LimitSettings, key_limits
from gateway.access.principal import Principal, unauthenticated
from gateway.access.roles import Scope
from gateway.config.secret import Network
from gateway.telemetry.spans import annotate

Address = IPv4Address | IPv6Address

# `[v6]`, `[v6]:port` and `v4:port`.
FORWARDED = re.compile(r"[ \t]*(?:\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+)[ \t]*")
BEARER = re.compile(r"Bearer +([!-~]+) *", re.IGNORECASE)


class Admission:
    def __init__(
        self,
        key_cache: KeyCache,
        peppers: Callable[[], Sequence[bytes]],
        *,
        limits: LimitSettings,
        trusted_proxies: Sequence[Network] = (),
        keys_required: bool,
    ) -> None:
        """`peppers`: called when there is a key to compare with. `keys_required`: also while no
        key was ever created.
        """
        self._key_cache = key_cache
        self._peppers = peppers
        self._limits = lru_cache(maxsize=1000)(partial(key_limits, limits))
        self._proxies = trusted_proxies
        self._keys_required = keys_required

    def admit(self, request: Request[Any], scope: Scope) -> Principal:
        """Authenticate the caller and check its scope; `request.state` gets the principal.

        Raises Unauthenticated, Forbidden and StoreUnavailable.
        """
        state = request.scope["state"]
        address = client_address(request, self._proxies)
        state["principal"] = unauthenticated(address, state["request_id"])
        if self._key_cache.suspension.was_suspended:  # a key may have been revoked meanwhile
            raise _not_ready("This process was suspended and is reading its keys again.")
        if not self._key_cache.known:
            raise _not_ready(
                "This gateway has not read its keys yet: the database does not answer."
            )
        state["principal"] = principal = self._principal(request, state["principal"])
        annotate(workspace=principal.workspace, principal=principal.id)
        if scope not in principal.scopes:
            raise problems.Forbidden(f"The key lacks the scope {scope}.")
        return principal

    def _principal(self, request: Request[Any], caller: Principal) -> Principal:
        given = _header_values(request, b"authorization")
        if not given and self.open:
            return self._limited(Principal(address=caller.address, request_id=caller.request_id))
        key = _key(given)
        known = self._key_cache.find(key.id)
        genuine = matches(self._peppers(), key.text, known.digest if known else NO_DIGEST)
        if known is None or not genuine:
            if workspace := self._key_cache.workspace_of(key.id):
                # So that the workspace's audit records the attempt.
                request.scope["state"]["principal"] = replace(
                    caller, workspace=workspace, claimed_key=key.id
                )
            raise problems.Unauthenticated("This key is unknown, expired or revoked.")
        self._key_cache.used(known.id)
        return self._limited(
            replace(
                caller,
                workspace=known.workspace,
                id=known.id,
                subject=known.subject,
                role=known.role,
                makers=known.makers,
                live=known.live,
                scopes=known.scopes,
            )
        )

    @property
    def open(self) -> bool:
        """Whether requests need no key: in development, until the first key is created."""
        return not self._keys_required and not self._key_cache.any_made

    def _limited(self, principal: Principal) -> Principal:
        limits = self._limits(self._key_cache.limits(principal.workspace))
        return replace(principal, **limits._asdict())


def _not_ready(detail: str) -> problems.StoreUnavailable:
    headers = {"Retry-After": "1"}
    return problems.StoreUnavailable(
        f"{detail} {problems.REPEAT}", safe_to_retry=True, headers=headers
    )


def _key(given: Sequence[str]) -> Parsed:
    """Raises Unauthenticated."""
    bearer = BEARER.fullmatch(given[0]) if given else None
    if bearer is None or len(given) > 1:
        raise problems.Unauthenticated("Send one header `Authorization: Bearer` with an API key.")
    if (key := parse(bearer[1])) is None:
        raise problems.Unauthenticated("This is not an API key of Relay.")
    return key


def client_address(request: Request[Any], proxies: Sequence[Network]) -> str:
    """The address of the client; behind trusted proxies, the address that the first of them saw.

    X-Forwarded-For is read from the right: a client can only add entries on the left.
    """
    peer: str = client[0] if (client := request.scope.get("client")) else ""
    if not proxies or (address := _address(peer)) is None:
        return peer
    forwarded = ",".join(_header_values(request, b"x-forwarded-for")).split(",")
    while forwarded and any(address in network for network in proxies):
        before = _address(forwarded.pop())
        if before is None:
            break
        address = before
    return str(address)


def _address(text: str) -> Address | None:
    """An address as proxies write it: with a port, in brackets, or as IPv4 within IPv6."""
    written = FORWARDED.fullmatch(text)
    try:
        address = ip_address((written[1] or written[2]) if written else text.strip(" \t"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _header_values(request: Request[Any], name: bytes) -> list[str]:
    """Starlette decodes all headers to find one."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]
