"""Whose account a grant is of.

An ID token came straight from the token endpoint over TLS, which may stand for its signature
(OpenID Connect Core 3.1.3.7, item 6). An e-mail address is a label: it changes.
"""

import base64
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from gateway.connections.answers import Grant
from gateway.connections.consent.handshake import NotConnected
from gateway.connections.providers import Client, Facts
from gateway.effects import Effect
from gateway.outcomes import Answered, Outcome

# Seconds by which clocks may differ.
LEEWAY = 60
ACCOUNT_MAX = 400


class Identity(NamedTuple):
    """`issuer` and `subject`: the account. `account`: its name for people. `names`: what an
    administrator may expect it to be called.
    """

    issuer: str
    subject: str
    account: str
    tenant: str | None
    names: frozenset[str]


def unclear() -> NotConnected:
    return NotConnected("identity", "The provider did not say clearly whose account this is.")


def issued_by(facts: Facts, issuer: str) -> bool:
    """Whether this is the provider's issuer, byte for byte; for a tenant's, of any tenant."""
    before, tenant, after = facts.issuer.partition("{tid}")
    if not tenant:
        return issuer == facts.issuer
    pattern = f"{re.escape(before)}[0-9a-f-]{{36}}{re.escape(after)}"
    return re.fullmatch(pattern, issuer) is not None


def of_id_token(client: Client, grant: Grant, nonce: str) -> Identity:
    """Raises NotConnected."""
    claims = _claims(grant)
    facts, tenant = client.facts, _text(claims, "tid")
    issuer = facts.issuer.replace("{tid}", tenant or "-")
    expires = claims.get("exp")
    valid = (
        issued_by(facts, issuer)
        and claims.get("iss") == issuer
        and claims.get("aud") in (client.client_id, [client.client_id])
        and isinstance(expires, int | float)
        and expires > time.time() - LEEWAY
        and hmac.compare_digest((_text(claims, "nonce") or "").encode(), nonce.encode())
    )
    if not valid:
        raise unclear()
    if "{tid}" in facts.issuer:
        # Not `email`, which the administrator of any tenant may set to any address.
        name = _text(claims, "preferred_username")
        return _identity(issuer, _text(claims, "oid"), name, tenant)
    email = _text(claims, "email") if claims.get("email_verified") is True else None
    return _identity(issuer, _text(claims, "sub"), email, None)


def of_slack(client: Client, grant: Grant) -> Identity:
    """The bot of a workspace of Slack. Raises NotConnected."""
    team = grant.raw.get("team")
    bot = _text(grant.raw, "bot_user_id")
    if not isinstance(team, dict) or bot is None or not (team_id := _text(team, "id")):
        raise unclear()
    name = _text(team, "name") or team_id
    identity = _identity(client.facts.issuer, f"{team_id}/{bot}", name, team_id)
    return identity._replace(names=identity.names | {team_id.casefold()})


def asked_of_user(client: Client, grant: Grant) -> Effect:
    """The request that asks an access token whose it is."""
    token = grant.access_token.reveal().decode()
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "User-Agent": "relay",
    }
    url = client.facts.user or ""
    return Effect(method="GET", url=url, headers=headers, body=None, summary="")


def of_user(client: Client, outcome: Outcome) -> Identity:
    """Raises NotConnected."""
    if not isinstance(outcome, Answered) or not outcome.accepted:
        raise unclear()
    try:
        user = msgspec.json.decode(outcome.response, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise unclear() from error
    number = user.get("id")
    subject = str(number) if isinstance(number, int) else None
    return _identity(client.facts.issuer, subject, _text(user, "login"), None)


def _claims(grant: Grant) -> Mapping[str, Any]:
    """Raises NotConnected."""
    parts = grant.id_token.reveal().split(b".") if grant.id_token else []
    if len(parts) != 3:
        raise unclear()
    try:
        payload = base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise unclear()
    return claims


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    found = claims.get(name)
    if isinstance(found, str) and found.isprintable() and 1 <= len(found) <= ACCOUNT_MAX:
        return found
    return None


def _identity(issuer: str, subject: str | None, name: str | None, tenant: str | None) -> Identity:
    """Raises NotConnected."""
    if subject is None or name is None:
        raise unclear()
    return Identity(issuer, subject, name, tenant, frozenset({name.casefold()}))
