"""What the environment decides, read once and frozen.

A value that cannot be meant stops the start: the error names the variable,
what it held and what it may hold. Secrets have no readable repr.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """A variable holds what it may not."""


class Secret:
    """A value that no repr, log or error shows; `reveal` where it is used."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> bytes:
        return self._value


class Settings(Struct, frozen=True, kw_only=True):
    env: Literal["development", "production"] = "development"
    redis_url: Secret | None = None
    data_dir: Path = Path(".relay")
    actions_enabled: bool = True
    signing_secrets: tuple[Secret, ...] = ()
    webhook_url: str | None = None
    # Standard Webhooks asks receivers to answer within 15 to 30 s.
    action_timeout: timedelta = timedelta(seconds=15)
    egress_hosts: frozenset[str] = frozenset()
    egress_networks: tuple[Network, ...] = ()
    cors_origins: tuple[str, ...] = ()
    # How long a gateway that is told to stop still takes requests: two probes
    # of a load balancer that asks every second.
    stop_delay: timedelta = timedelta(seconds=2)

    @property
    def production(self) -> bool:
        return self.env == "production"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables of section "Configuration" of the README. Raises SettingsError."""
        values: dict[str, Any] = {
            field: _read(variable, environ[variable], parse, may_hold)
            for variable, (field, parse, may_hold) in VARIABLES.items()
            if environ.get(variable, "") != ""
        }
        hosts, networks = values.pop("egress_allow", (frozenset(), ()))
        settings = cls(**values, egress_hosts=hosts, egress_networks=networks)
        if settings.production and settings.redis_url is None:
            raise SettingsError(
                "REDIS_URL is not set; with RELAY_ENV=production it must name a Redis server"
            )
        return settings


SECRET_VARIABLES = {"REDIS_URL", "ACTIONS_SIGNING_SECRET"}


def _read(variable: str, text: str, parse: Callable[[str], object], may_hold: str) -> object:
    try:
        return parse(text.strip())
    except ValueError:
        held = "a secret" if variable in SECRET_VARIABLES else repr(text)
    # Outside of the handler: what was caught may quote a password.
    raise SettingsError(f"{variable} is {held}; it may hold {may_hold}")


def _env(text: str) -> str:
    if text not in ("development", "production"):
        raise ValueError(text)
    return text


def _redis_url(text: str) -> Secret:
    url = urlsplit(text)
    if url.scheme not in ("redis", "rediss", "unix") or url.port == 0:  # port: or ValueError
        raise ValueError("scheme or port")
    return Secret(text.encode())


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "1", "false", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def _signing_secrets(text: str) -> tuple[Secret, ...]:
    return tuple(Secret(_signing_key(part)) for part in _listed(text))


def _signing_key(text: str) -> bytes:
    if not text.startswith("whsec_"):
        return text.encode()
    key = base64.b64decode(text.removeprefix("whsec_"), validate=True)  # or a ValueError
    if not key:
        raise ValueError("an empty secret")
    return key


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(text)
    return text


def _seconds(low: float, high: float) -> Callable[[str], timedelta]:
    def parse(text: str) -> timedelta:
        seconds = float(text)
        if not low <= seconds <= high:
            raise ValueError(text)
        return timedelta(seconds=seconds)

    return parse


def _egress_allow(text: str) -> tuple[frozenset[str], tuple[Network, ...]]:
    hosts, networks = set(), []
    for part in _listed(text):
        try:
            networks.append(ip_network(part))
        except ValueError:
            # The last part is no number: a mistyped address is not a name.
            if not re.fullmatch(
                r"([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\.?", part
            ):
                raise
            hosts.add(part.lower().rstrip("."))
    return frozenset(hosts), tuple(networks)


def _origins(text: str) -> tuple[str, ...]:
    origins = _listed(text)
    # As browsers send them: no path, not even a slash.
    if not all(re.fullmatch(r"https?://[^/\s]+", origin) for origin in origins):
        raise ValueError(text)
    return origins


def _listed(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise ValueError("empty item")
    return parts


VARIABLES: dict[str, tuple[str, Callable[[str], object], str]] = {
    "RELAY_ENV": ("env", _env, "development or production"),
    "REDIS_URL": ("redis_url", _redis_url, "a redis://, rediss:// or unix:// URL"),
    "RELAY_DATA_DIR": ("data_dir", Path, "a folder"),
    "ACTIONS_ENABLED": ("actions_enabled", _boolean, "true or false"),
    "ACTIONS_SIGNING_SECRET": (
        "signing_secrets",
        _signing_secrets,
        "secrets with commas between them, newest first; whsec_ is followed by base64",
    ),
    "WEBHOOK_URL": ("webhook_url", _url, "an http:// or https:// URL"),
    "ACTION_TIMEOUT": ("action_timeout", _seconds(0.1, 300), "a number of seconds, 0.1 to 300"),
    "EGRESS_ALLOW": (
        "egress_allow",
        _egress_allow,
        "host names, addresses and CIDR networks with commas between them",
    ),
    "CORS_ORIGINS": ("cors_origins", _origins, "origins such as https://studio.example.com"),
    "STOP_DELAY": ("stop_delay", _seconds(0, 60), "a number of seconds, 0 to 60"),
}
