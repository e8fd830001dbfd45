"""The providers of connections as data: where they are, what each action needs, and what each one
does in its own way. Nothing here does I/O.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from gateway.actions.action import Provider
from gateway.config.providers import ProviderSettings
from gateway.config.secret import Secret

NOTHING: Mapping[str, str] = MappingProxyType({})
GOOGLE = "https://www.googleapis.com/auth/"
GRAPH = "https://graph.microsoft.com/"


class Facts(Struct, frozen=True, kw_only=True):
    """`issuer`: of ID tokens and of the parameter `iss`; `{tid}` stands for the tenant of the user.
    `sends_iss`: the provider is known to send `iss`. `user`: where an access token says who it is,
    if no ID token does. `hosts`: where an access token may go. `identity`: the scopes for who it
    is. `scopes`: what an action needs besides, `read_back`: to find out later what became of it.
    `prefix`: of scopes, which answers may have and requests do not. `asked`: further parameters.
    `lasting`: access tokens need not expire. `removal`: where people take the grant back.
    """

    name: str
    title: str
    authorize: str
    token: str
    revoke: str | None = None
    user: str | None = None
    issuer: str
    sends_iss: bool = False
    hosts: Sequence[str]
    identity: Sequence[str] = ()
    scopes: Mapping[str, Sequence[str]]
    read_back: Mapping[str, Sequence[str]] = MappingProxyType({})
    prefix: str = ""
    asked: Mapping[str, str] = NOTHING
    pkce: bool = True
    separator: str = " "
    lasting: bool = False
    removal: str


class Client(NamedTuple):
    """Relay, as it is registered at a provider."""

    facts: Facts
    client_id: str
    client_secret: Secret


FACTS: Mapping[str, Facts] = {
    "google": Facts(
        name="google",
        title="Google",
        authorize="https://accounts.google.com/o/oauth2/v2/auth",
        token="https://oauth2.googleapis.com/token",  # noqa: S106 - its address
        revoke="https://oauth2.googleapis.com/revoke",
        issuer="https://accounts.google.com",
        sends_iss=True,
        hosts=("https://gmail.googleapis.com", "https://www.googleapis.com"),
        identity=("openid", "email"),
        scopes={
            "google.gmail.send": (f"{GOOGLE}gmail.send",),
            "google.calendar.create_event": (f"{GOOGLE}calendar.events.owned",),
        },
        read_back={"google.gmail.send": (f"{GOOGLE}gmail.metadata",)},
        # Without `consent` only the very first consent brings a refresh token.
        asked={"access_type": "offline", "prompt": "consent"},
        removal="https://myaccount.google.com/connections",
    ),
    "microsoft": Facts(
        name="microsoft",
        title="Microsoft",
        authorize="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        token="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",  # noqa: S106
        issuer="https://login.microsoftonline.com/{tid}/v2.0",
        hosts=("https://graph.microsoft.com",),
        identity=("openid", "email", "profile", "offline_access"),
        scopes={
            "microsoft.outlook.send": ("Mail.Send",),
            "microsoft.calendar.create_event": ("Calendars.ReadWrite",),
        },
        read_back={"microsoft.outlook.send": ("Mail.Read",)},
        prefix=GRAPH,
        # `consent` would override an administrator's consent at each login.
        asked={"response_mode": "query", "prompt": "select_account"},
        removal="https://myapps.microsoft.com",
    ),
    "slack": Facts(
        name="slack",
        title="Slack",
        authorize="https://slack.com/oauth/v2/authorize",
        token="https://slack.com/api/oauth.v2.access",  # noqa: S106
        revoke="https://slack.com/api/auth.revoke",
        issuer="https://slack.com",
        hosts=("https://slack.com",),
        scopes={"slack.chat.post_message": ("chat:write",)},
        read_back={"slack.chat.post_message": ("channels:history", "groups:history")},
        pkce=False,
        separator=",",
        lasting=True,
        removal="https://slack.com/apps/manage",
    ),
    "github": Facts(
        name="github",
        title="GitHub",
        authorize="https://github.com/login/oauth/authorize",
        token="https://github.com/login/oauth/access_token",  # noqa: S106
        user="https://api.github.com/user",
        issuer="https://github.com/login/oauth",
        hosts=("https://api.github.com",),
        scopes={"github.issues.create": ("repo",)},
        lasting=True,
        removal="https://github.com/settings/applications",
    ),
}


def configured(settings: Mapping[str, ProviderSettings]) -> dict[str, Provider]:
    """For the registry of actions."""
    return {
        name: Provider(bool(given.client_id), given.base_url) for name, given in settings.items()
    }


def clients(settings: Mapping[str, ProviderSettings]) -> dict[str, Client]:
    """Those that the operator has configured."""
    return {
        name: Client(facts_of(name, given), given.client_id, given.client_secret)
        for name, given in settings.items()
        if given.client_id and given.client_secret
    }


def hosts(settings: Mapping[str, ProviderSettings]) -> dict[str, frozenset[str]]:
    """Where the access tokens of each provider may go."""
    return {name: frozenset(facts_of(name, given).hosts) for name, given in settings.items()}


def facts_of(name: str, given: ProviderSettings) -> Facts:
    """With the tenant, and with the one origin in place of all hosts, if one is given."""
    facts = FACTS[name]

    def at(url: str) -> str:
        if given.base_url:
            url = f"{given.base_url}{url.removeprefix(_origin(url))}"
        return url.replace("{tenant}", given.tenant)

    return replace(
        facts,
        authorize=at(facts.authorize),
        token=at(facts.token),
        revoke=at(facts.revoke) if facts.revoke else None,
        user=at(facts.user) if facts.user else None,
        issuer=at(facts.issuer),
        hosts=tuple(dict.fromkeys(at(host) for host in facts.hosts)),
    )


def to_set(name: str) -> str:
    """What an operator has to do before accounts of this provider can be connected."""
    upper = name.upper()
    return f"Set {upper}_CLIENT_ID, {upper}_CLIENT_SECRET and PUBLIC_URL."


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
