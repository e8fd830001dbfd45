"""Why an account is not connected, in our own words: a provider's description may hold anything."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from gateway.connections.answers import Declined
from gateway.connections.consent.handshake import NotConnected, State
from gateway.connections.providers import Client

# Microsoft: the tenant lets only an administrator consent.
ADMIN_NEEDED = re.compile(r"AADSTS(65001|90094)\b")


def expired() -> NotConnected:
    sentence = "The link has expired, or it was used. Ask for a new one."
    return NotConnected("expired", sentence)


def denied(client: Client, state: State, query: Mapping[str, str]) -> NotConnected:
    """The provider answers with an error instead of a code."""
    title = client.facts.title
    if client.facts.name == "microsoft" and (
        query["error"] in ("access_denied", "consent_required")
        or ADMIN_NEEDED.search(query.get("error_description", ""))
    ):
        sentence = (
            "Microsoft gave no consent. If it asked for an administrator's approval, send this "
            "link to your administrator, and connect once more after that."
        )
        return NotConnected("consent", sentence, link=_admin_consent(client, state))
    if query["error"] == "access_denied":
        return NotConnected("denied", f"At {title} access was refused. Nothing was connected.")
    if query["error"] in ("temporarily_unavailable", "server_error"):
        return NotConnected("unavailable", f"{title} cannot answer at the moment. Try again later.")
    return NotConnected("refused", f"{title} refused the request. The operator has to look at it.")


def exchange_failed(client: Client, declined: Declined) -> NotConnected:
    title = client.facts.title
    if declined.whose == "client":
        sentence = f"{title} does not accept Relay's registration. The operator has to look at it."
        return NotConnected("misconfigured", sentence)
    if declined.whose == "grant":
        sentence = f"{title} did not accept the code. Connect once more."
        return NotConnected("code_refused", sentence)
    return NotConnected("unavailable", f"{title} gave no usable answer. Connect once more.")


def another_account(account: str, expected: str) -> NotConnected:
    sentence = f"This is the account {account}, and {expected} was expected."
    return NotConnected("another_account", sentence)


def no_refresh_token(client: Client) -> NotConnected:
    removal = client.facts.removal
    sentence = (
        f"{client.facts.title} gave no lasting access. Remove Relay at {removal}, and connect "
        "once more."
    )
    return NotConnected("no_refresh_token", sentence, link=removal)


def missing_scopes(client: Client, missing: Sequence[str]) -> NotConnected:
    sentence = (
        f"{client.facts.title} has not granted: {', '.join(missing)}. Connect once more, and "
        "leave each box of the consent page ticked."
    )
    return NotConnected("scopes", sentence)


def _admin_consent(client: Client, state: State) -> str:
    at = client.facts.authorize.replace("/oauth2/v2.0/authorize", "/v2.0/adminconsent")
    scopes = [f"{client.facts.prefix}{scope}" for scope in state.ticket.scopes]
    asked = {
        "client_id": client.client_id,
        "scope": " ".join(scopes),
        "redirect_uri": state.redirect_uri,
    }
    return f"{at.replace('/common/', '/organizations/')}?{urlencode(asked)}"
