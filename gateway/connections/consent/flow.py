"""Connect an account: the ticket of an administrator, the start in a browser, and the callback.

The browser that comes back is the one that was shown the start page; another one is refused, even
with a valid state (RFC 9700, 2.1). A code is exchanged once. What is missing a scope, a refresh
token or the expected account is not stored.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlencode

from gateway.access.sealing import Sealer
from gateway.connections import answers
from gateway.connections.answers import Declined, Grant
from gateway.connections.consent import identity
from gateway.connections.consent.connecting import Connecting, Granted
from gateway.connections.consent.handshake import NotConnected, State, Steps, Ticket, digest
from gateway.connections.consent.identity import Identity
from gateway.connections.consent.refusals import (
    another_account,
    denied,
    exchange_failed,
    expired,
    missing_scopes,
    no_refresh_token,
)
from gateway.connections.grants import kept_of
from gateway.connections.providers import FACTS, Client, Facts
from gateway.connections.refreshing import Refreshing
from gateway.connections.revocation import Revocation, revoke
from gateway.connections.tokens import Tokens
from gateway.egress.client import Egress
from gateway.transaction import Transactions
from stores.redis.oauth.access_tokens import AccessTokens
from stores.redis.oauth.handshakes import Handshakes
from stores.redis.scripts import RedisUnavailable, Scripts
from stores.sql.connections import ConnectionRow, SealedConnection

CALLBACK = "/oauth/callback"
# Seconds for a code, and for the question whose account it is.
EXCHANGE_SECONDS = 10.0


class Started(NamedTuple):
    """`location`: at the provider. `cookie`: its name, which tells one start from another."""

    location: str
    cookie: str
    value: str


class Back(NamedTuple):
    """What a browser brings back, and from where. `cookies`: by name."""

    query: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str
    request_id: str


class OAuth:
    """`public_url`: where people reach this gateway; there is one where there are clients."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        steps: Steps,
        connecting: Connecting,
        tokens: Tokens,
        *,
        egress: Egress,
        public_url: str | None,
    ) -> None:
        self.clients = clients
        self.public_url = public_url or ""
        self.tokens = tokens
        self._steps = steps
        self._sealer = steps.sealer
        self._connecting = connecting
        self._egress = egress

    async def authorize(self, ticket: Ticket) -> tuple[str, int]:
        """The URL of the start page, and when it ends, in epoch milliseconds. Raises
        RedisUnavailable and UnknownKey.
        """
        name = secrets.token_urlsafe(32)
        ends_ms = await self._steps.keep("ticket", name, ticket)
        return f"{self.public_url}/oauth/start/{name}", ends_ms

    async def shown(self, name: str) -> Ticket:
        """The ticket, which stays. Raises NotConnected and RedisUnavailable."""
        return self._usable(await self._steps.ticket(name, take=False))

    async def start(self, name: str) -> Started:
        """Spend the ticket. Raises NotConnected, RedisUnavailable and UnknownKey."""
        ticket = self._usable(await self._steps.ticket(name, take=True))
        state_name, cookie = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        state = State(
            ticket=ticket,
            verifier=secrets.token_urlsafe(48),
            nonce=secrets.token_urlsafe(24),
            redirect_uri=f"{self.public_url}{CALLBACK}",
            browser=digest(cookie),
        )
        await self._steps.keep("state", state_name, state)
        location = _location(self.clients[ticket.provider], state, state_name)
        return Started(location, self.cookie_name(state_name), cookie)

    def cookie_name(self, state_name: str) -> str:
        prefix = "__Host-" if self.public_url.startswith("https:") else ""
        return f"{prefix}relay_oauth_{digest(state_name)[:16]}"

    async def callback(self, back: Back) -> ConnectionRow:
        """The connection. Raises NotConnected and RedisUnavailable."""
        state_name = back.query.get("state", "")
        state = await self._steps.take_state(state_name)
        if state is None:
            raise expired()
        self._usable(state.ticket)
        actor = state.ticket.actor(back.address, back.request_id)
        try:
            self._check(state, state_name, back)
            grant, granted = await self._granted(state, back.query)
            row = await self._connecting.store(state.ticket, granted, actor)
        except NotConnected as error:
            await self._connecting.record_denied(state.ticket, error.reason, actor)
            raise
        await self.tokens.keep(row, grant.access_token, float(grant.life or 3600))
        return row

    async def give_back(self, gone: SealedConnection, *, shared: bool) -> Revocation | None:
        """Forget the tokens of a connection that was deleted, here and at the provider. `shared`:
        whether another one is of the same account. None for a static credential.
        """
        if gone.row.kind != "oauth":
            return None
        with suppress(RedisUnavailable):  # it ends by itself
            await self.tokens.forget(gone.row)
        client = self.clients.get(gone.row.provider)
        return await revoke(gone, client, self._sealer, self._egress, shared=shared)

    def _usable(self, ticket: Ticket | None) -> Ticket:
        """Raises NotConnected."""
        if ticket is None or ticket.provider not in self.clients:
            raise expired()
        return ticket

    def _check(self, state: State, state_name: str, back: Back) -> None:
        """Raises NotConnected."""
        cookie = back.cookies.get(self.cookie_name(state_name), "")
        if not hmac.compare_digest(digest(cookie), state.browser):
            sentence = (
                "Another browser started this, or its cookies are gone. If you did not start it "
                "yourself, a stranger may want your account in their workspace."
            )
            raise NotConnected("another_browser", sentence)
        client = self.clients[state.ticket.provider]
        issuer = back.query.get("iss")
        known = client.facts.sends_iss
        if known if issuer is None else not identity.issued_by(client.facts, issuer):
            raise NotConnected("issuer", "The answer is not from the provider that was asked.")
        if "error" in back.query:
            raise denied(client, state, back.query)
        if not back.query.get("code"):
            raise NotConnected("no_code", "The provider's answer has no code. Connect once more.")

    async def _granted(self, state: State, query: Mapping[str, str]) -> tuple[Grant, Granted]:
        """Exchange the code, and look at all that came. Raises NotConnected."""
        client, ticket = self.clients[state.ticket.provider], state.ticket
        deadline = time.monotonic() + EXCHANGE_SECONDS
        asked = answers.form(client, **_exchange(client, state, query["code"]))
        grant = answers.read(await self._egress.ask(asked, deadline=deadline), client)
        if isinstance(grant, Declined):
            raise exchange_failed(client, grant)
        who = await self._identity(client, grant, state, deadline)
        expected = ticket.expected_account
        if expected is not None and expected.casefold() not in who.names:
            raise another_account(who.account, expected)
        scopes = _scopes(ticket, grant)
        if missing := sorted({*ticket.scopes} - {*scopes}):
            raise missing_scopes(client, missing)
        if (kept := kept_of(grant)) is None:
            raise no_refresh_token(client)
        return grant, Granted(who, kept, scopes)

    async def _identity(
        self, client: Client, grant: Grant, state: State, deadline: float
    ) -> Identity:
        """Raises NotConnected."""
        if client.facts.name == "slack":
            return identity.of_slack(client, grant)
        if client.facts.user:
            asked = identity.asked_of_user(client, grant)
            return identity.of_user(client, await self._egress.ask(asked, deadline=deadline))
        return identity.of_id_token(client, grant, state.nonce)


@asynccontextmanager
async def open_oauth(
    clients: Mapping[str, Client],
    scripts: Scripts,
    sealer: Sealer,
    *,
    egress: Egress,
    find_transactions: Callable[[], Awaitable[Transactions]],
    public_url: str | None,
) -> AsyncIterator[OAuth]:
    refreshing = Refreshing(clients, sealer, egress, find_transactions)
    tokens = Tokens(AccessTokens(scripts), refreshing, sealer)
    steps, connecting = Steps(Handshakes(scripts), sealer), Connecting(find_transactions, sealer)
    try:
        yield OAuth(clients, steps, connecting, tokens, egress=egress, public_url=public_url)
    finally:
        await tokens.close()


def needed(facts: Facts, actions: Sequence[str], *, read_back: bool) -> list[str]:
    """The scopes of these actions, each once. Raises LookupError for one of another provider."""
    scopes = [scope for action in actions for scope in facts.scopes[action]]
    if read_back:
        scopes += [scope for action in actions for scope in facts.read_back.get(action, ())]
    return list(dict.fromkeys(scopes))


def actions_of(provider: str) -> list[str]:
    """The actions for which an account of this provider can be connected."""
    return sorted(FACTS[provider].scopes)


def _exchange(client: Client, state: State, code: str) -> dict[str, str]:
    """The form that exchanges a code."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": state.redirect_uri,
    }
    if client.facts.pkce:
        fields["code_verifier"] = state.verifier
    if client.facts.name == "microsoft":
        fields["scope"] = " ".join([*client.facts.identity, *state.ticket.scopes])
    return fields


def _scopes(ticket: Ticket, grant: Grant) -> Sequence[str]:
    """What was granted: all that was asked, unless the answer says otherwise. A token of a GitHub
    App has the permissions of the app, and no scopes.
    """
    of_app = grant.access_token.reveal().startswith(b"ghu_")
    if grant.scopes is None or (ticket.provider == "github" and of_app):
        return ticket.scopes
    return sorted(grant.scopes)


def _location(client: Client, state: State, state_name: str) -> str:
    facts, ticket = client.facts, state.ticket
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": state.redirect_uri,
        "scope": facts.separator.join([*facts.identity, *ticket.scopes]),
        "state": state_name,
        **facts.asked,
    }
    if facts.pkce:
        hashed = hashlib.sha256(state.verifier.encode()).digest()
        asked["code_challenge"] = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
        asked["code_challenge_method"] = "S256"
    if "openid" in facts.identity:
        asked["nonce"] = state.nonce
        if ticket.expected_account:
            asked["login_hint"] = ticket.expected_account
    return f"{facts.authorize}?{urlencode(asked)}"
