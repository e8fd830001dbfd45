"""What a provider answers at its token endpoint, read without trust in its form.

Only error codes are kept of a refusal: a description may hold addresses.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec

from gateway.config.secret import Secret
from gateway.connections.providers import Client
from gateway.effects import Effect
from gateway.outcomes import Answered, Outcome

# A missing one counts as this many seconds.
LIFE_USUAL = 3600
TEXT_MAX = 16 * 1024
# The grant is gone: only the person at the account can give another one.
FINAL = frozenset(
    """invalid_grant interaction_required consent_required login_required bad_refresh_token
    bad_verification_code invalid_refresh_token token_revoked token_expired invalid_code
    code_already_used account_inactive invalid_auth""".split()
)
# Relay is not registered as it thinks.
OURS = frozenset(
    """invalid_client unauthorized_client incorrect_client_credentials invalid_client_id
    bad_client_secret redirect_uri_mismatch bad_redirect_uri""".split()
)


class Grant(NamedTuple):
    """`life`: seconds; None for an access token that does not expire. `scopes`: None where the
    provider has granted what it was asked. `raw`: the whole answer.
    """

    access_token: Secret
    refresh_token: Secret | None
    life: int | None
    scopes: frozenset[str] | None
    id_token: Secret | None
    raw: Mapping[str, Any]

    def __repr__(self) -> str:
        return "Grant(…)"


class Declined(NamedTuple):
    """`whose`: `grant` if only the account's owner can help, `client` if only the operator can,
    `passing` if another try may help. `code`: of the provider.
    """

    whose: Literal["grant", "client", "passing"]
    code: str


def form(client: Client, **fields: str) -> Effect:
    """A POST to the token endpoint, with Relay's own credentials in the form."""
    given = {
        "client_id": client.client_id,
        "client_secret": client.client_secret.reveal().decode(),
        **fields,
    }
    return posted(client.facts.token, given)


def posted(url: str, fields: Mapping[str, str]) -> Effect:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": "relay",
    }
    body = urlencode(fields).encode()
    return Effect(method="POST", url=url, headers=headers, body=body, summary="")


def read(outcome: Outcome, client: Client) -> Grant | Declined:
    """What the outcome of such a POST says."""
    if not isinstance(outcome, Answered):
        return Declined("passing", "no_answer")
    said = _object(outcome.response)
    error = said.get("error")
    if isinstance(error, str) and (error or outcome.status_code >= 400):
        return Declined(_whose(error, outcome.status_code), _code(error))
    if not outcome.accepted:
        return Declined("passing", f"status_{outcome.status_code}")
    if (access := _text(said, "access_token")) is None:
        return Declined("passing", "no_access_token")
    refresh, id_token = _text(said, "refresh_token"), _text(said, "id_token")
    return Grant(
        access_token=Secret(access.encode()),
        refresh_token=Secret(refresh.encode()) if refresh else None,
        life=_life(said, lasting=client.facts.lasting and not refresh),
        scopes=_scopes(said, client.facts.prefix),
        id_token=Secret(id_token.encode()) if id_token else None,
        raw=said,
    )


def _object(text: str) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(said: Mapping[str, Any], name: str) -> str | None:
    found = said.get(name)
    if not isinstance(found, str) or not (found.isascii() and found.isprintable()):
        return None
    return found if 1 <= len(found) <= TEXT_MAX else None


def _life(said: Mapping[str, Any], *, lasting: bool) -> int | None:
    given = said.get("expires_in")
    if isinstance(given, str) and given.isdecimal():
        given = int(given[:12])
    if isinstance(given, int | float) and not isinstance(given, bool) and given > 0:
        return int(min(given, 86400 * 365))
    return None if lasting else LIFE_USUAL


def _scopes(said: Mapping[str, Any], prefix: str) -> frozenset[str] | None:
    given = said.get("scope")
    if not isinstance(given, str):
        return None
    return frozenset(one.removeprefix(prefix) for one in re.split(r"[ ,]+", given) if one)


def _whose(error: str, status: int) -> Literal["grant", "client", "passing"]:
    if status >= 500 or status == 429:
        return "passing"
    if error in OURS:
        return "client"
    return "grant" if error in FINAL else "passing"


def _code(error: str) -> str:
    return error if re.fullmatch(r"[a-z0-9_]{1,64}", error) else "unreadable"
