"""How the operator has registered Relay at the providers of connections.

A start stops where half of a registration is missing, or where people could not come back from a
provider.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.config.secret import Secret

NAMES = ("google", "microsoft", "slack", "github")


class ProviderSettings(NamedTuple):
    """`base_url`: one origin in place of all hosts of the provider, in tests and development.
    `tenant`: of Microsoft.
    """

    client_id: str | None = None
    client_secret: Secret | None = None
    base_url: str | None = None
    tenant: str = "common"


def wrong(
    providers: Mapping[str, ProviderSettings], *, public_url: str | None, production: bool
) -> str | None:
    """What is missing, or not allowed, in a sentence."""
    for name, given in providers.items():
        upper = name.upper()
        if bool(given.client_id) != bool(given.client_secret):
            halves = ("SECRET", "ID") if given.client_id else ("ID", "SECRET")
            missing, there = (f"{upper}_CLIENT_{half}" for half in halves)
            return f"{missing} is not set; it belongs to {there}"
        if given.client_id and not public_url:
            return (
                f"PUBLIC_URL is not set; with {upper}_CLIENT_ID it must hold the URL to which "
                "people come back from the provider"
            )
        if given.base_url and production:
            return f"{upper}_BASE_URL is set; in production it must not be"
    return None
