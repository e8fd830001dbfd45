"""Authenticate and authorise each request before any work, without I/O.

A key is looked up in memory by its public id. An unknown id costs the same time as a wrong secret.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal

from msgspec.structs import replace
from starlette.requests import Request

from gateway import problems
from gateway.access import sessions
from gateway.access.api_keys import NO_DIGEST, Parsed, matches, parse
from gateway.access.assertions import Assertions
from gateway.access.key_cache import KeyCache
from gateway.access.limits import LimitSettings, key_limits
from gateway.access.principal import Principal, unauthenticated
from gateway.access.roles import Scope, granted
from gateway.access.snapshot import CachedKey
from gateway.config.secret import Network
from gateway.telemetry.spans import annotate
from stores.audit_entries import ANONYMOUS

Address = IPv4Address | IPv6Address
# `any`: a valid key is enough.
Needed = Scope | Literal["any"]

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
        assertions: Assertions | None = None,
        trusted_proxies: Sequence[Network] = (),
        keys_required: bool,
    ) -> None:
        """`peppers`: called when there is a key to compare with. `assertions`: of the proxy that
        signs people in, where one is trusted. `keys_required`: also while no key was ever created,
        as in production.
        """
        self.assertions = assertions
        self._clock = key_cache.clock
        self._key_cache = key_cache
        self._peppers = peppers
        self._limits = lru_cache(maxsize=1000)(partial(key_limits, limits))
        self._proxies = trusted_proxies
        self._keys_required = keys_required

    def admit(self, request: Request[Any], scope: Needed) -> Principal:
        """Authenticate the caller and check its scope; `request.state` gets the principal, and
        `session` if the caller brings the cookie of one.

        Raises Unauthenticated, Forbidden, CrossSite, StoreUnavailable and IssuerUnavailable.
        """
        state = request.scope["state"]
        state["principal"] = principal = self._principal(request, self._arrived(request))
        annotate(workspace=principal.workspace, principal=principal.id)
        check_scope(principal, scope)
        return principal

    def sign_in(self, request: Request[Any], text: str) -> tuple[Principal, sessions.Session]:
        """Start a session with the key of this text. Raises as `admit` does."""
        caller = self._arrived(request)
        sessions.check_site(request, page_needed=False)
        known = self._of_key(request, caller, _parsed(text))
        request.scope["state"]["principal"] = principal = self._principal_of(known, caller)
        now = self._clock()
        session = sessions.start(known.id, now=now, key_until=known.expires_at_ms / 1000)
        self._set_cookie(request, session)
        return principal, session

    def address(self, request: Request[Any]) -> str:
        """The address of the client."""
        return client_address(request, self._proxies)

    def sign_out(self, request: Request[Any]) -> None:
        """Have the browser drop its cookie."""
        cookies = sessions.set_cookies("", production=self._keys_required)
        request.scope["state"]["cookies"] = cookies

    def _arrived(self, request: Request[Any]) -> Principal:
        """The caller before authentication. Raises StoreUnavailable."""
        state = request.scope["state"]
        address = client_address(request, self._proxies)
        state["principal"] = caller = unauthenticated(address, state["request_id"])
        if self._key_cache.suspension.was_suspended:  # a key may have been revoked meanwhile
            raise _not_ready("This process was suspended and is reading its keys again.")
        if not self._key_cache.known:
            raise _not_ready(
                "This gateway has not read its keys yet: the database does not answer."
            )
        return caller

    def _principal(self, request: Request[Any], caller: Principal) -> Principal:
        given = _header_values(request, b"authorization")
        if not given and self.assertions and (text := self.assertions.given(request)) is not None:
            return self._of_assertion(request, caller, self.assertions, text)
        if not given and self.open:
            return self._limited(Principal(address=caller.address, request_id=caller.request_id))
        if not given and (cookie := sessions.given(request)):
            known = self._of_session(request, caller, cookie)
        else:
            known = self._of_key(request, caller, _key(given))
        return self._principal_of(known, caller)

    def _of_key(self, request: Request[Any], caller: Principal, key: Parsed) -> CachedKey:
        known = self._key_cache.find(key.id)
        genuine = matches(self._peppers(), key.text, known.digest if known else NO_DIGEST)
        if known is None or not genuine:
            self._attribute(request, caller, key.id)
            raise problems.Unauthenticated("This key is unknown, expired or revoked.")
        return known

    def _of_session(self, request: Request[Any], caller: Principal, cookie: str) -> CachedKey:
        now = self._clock()
        session = sessions.read(cookie, self._peppers(), now=now)
        known = self._key_cache.find(session.key_id) if session else None
        if session is None or known is None or self._key_cache.has_ended(session.id):
            self.sign_out(request)
            if session:
                self._attribute(request, caller, session.key_id)
            raise problems.Unauthenticated("This session has ended. Sign in again.")
        sessions.check_site(request, page_needed=True)
        request.scope["state"]["session"] = session
        if renewed := session.renewed(now):
            request.scope["state"]["session"] = renewed
            self._set_cookie(request, renewed)
        return known

    def _of_assertion(
        self, request: Request[Any], caller: Principal, assertions: Assertions, text: str
    ) -> Principal:
        assertion, trust = assertions.verify(text), assertions.trust
        person = replace(
            caller,
            workspace=trust.workspace,
            id=assertion.subject,
            subject=assertion.subject,
            assertion=assertion,
        )
        # What is refused from here on is refused to this person, and audited so.
        request.scope["state"]["principal"] = person
        if (role := trust.role_of(assertion.groups)) is None:
            raise problems.NoRole(
                "None of the groups that the proxy names has a role here (RELAY_OIDC_ROLES)."
            )
        sessions.check_site(request, page_needed=True)
        return self._limited(replace(person, role=role, scopes=granted(role, None, live=True)))

    def _set_cookie(self, request: Request[Any], session: sessions.Session) -> None:
        text = sessions.write(session, self._peppers()[0])
        cookies = sessions.set_cookies(text, production=self._keys_required)
        request.scope["state"]["cookies"] = cookies

    def _attribute(self, request: Request[Any], caller: Principal, key_id: str) -> None:
        """Let the workspace's audit record the attempt."""
        if workspace := self._key_cache.workspace_of(key_id):
            request.scope["state"]["principal"] = replace(
                caller, workspace=workspace, claimed_key=key_id
            )

    def _principal_of(self, known: CachedKey, caller: Principal) -> Principal:
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

    def still_admits(self, principal: Principal, session: sessions.Session | None) -> bool:
        """Whether what authenticated this caller before has not ended since."""
        if self._key_cache.suspension.was_suspended or not self._key_cache.known:
            return False
        if principal.id == ANONYMOUS:
            return self.open
        if principal.assertion:  # of each request; nothing says later that it has ended
            return True
        if session and (self._clock() >= session.ends or self._key_cache.has_ended(session.id)):
            return False
        return self._key_cache.find(principal.id) is not None

    @property
    def open(self) -> bool:
        """Whether requests need no key: in development, until the first key is created, where no
        proxy signs people in.
        """
        return not (self._keys_required or self.assertions or self._key_cache.any_made)

    def _limited(self, principal: Principal) -> Principal:
        limits = self._limits(self._key_cache.limits(principal.workspace))
        return replace(principal, **limits._asdict())


def check_scope(principal: Principal, scope: Needed) -> None:
    """Raises Forbidden."""
    if scope != "any" and scope not in principal.scopes:
        raise problems.Forbidden(f"The key lacks the scope {scope}.")


def _not_ready(detail: str) -> problems.StoreUnavailable:
    headers = {"Retry-After": "1"}
    return problems.StoreUnavailable(f"{detail} {problems.REPEAT}", headers=headers)


def _key(given: Sequence[str]) -> Parsed:
    """Raises Unauthenticated."""
    bearer = BEARER.fullmatch(given[0]) if given else None
    if bearer is None or len(given) > 1:
        raise problems.Unauthenticated("Send one header `Authorization: Bearer` with an API key.")
    return _parsed(bearer[1])


def _parsed(text: str) -> Parsed:
    """Raises Unauthenticated."""
    if (key := parse(text)) is None:
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
