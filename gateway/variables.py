"""The environment variables: what each may hold, and how it is read.

A value that cannot be meant stops the start: the error names the variable,
what it held and what it may hold. Secrets have no readable repr.
"""

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

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


SECRET_VARIABLES = {"REDIS_URL", "ACTIONS_SIGNING_SECRET"}


def read(variable: str, text: str, parse: Callable[[str], object], may_hold: str) -> object:
    """The parsed value. Raises SettingsError."""
    try:
        return parse(text.strip())
    except ValueError:
        held = "a secret" if variable in SECRET_VARIABLES or "@" in text else repr(text)
    # Outside of the handler: what was caught may quote a password.
    raise SettingsError(f"{variable} is {held}; it may hold {may_hold}")


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


def _trace_link_template(text: str) -> str:
    fields = re.findall(r"\{([^{}]*)\}", text)
    plain = re.sub(r"\{(trace_id|span_id|request_id)\}", "", text)
    if not fields or re.search(r"[{}]", plain):
        raise ValueError(text)
    return _link(text)


def _link(text: str) -> str:
    """A URL that can stand in a header."""
    if not re.fullmatch(r"https?://[\x21-\x7e]+", text):
        raise ValueError(text)
    return text


def _choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


def _uid(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text):
        raise ValueError(text)
    return text


VARIABLES: dict[str, tuple[str, Callable[[str], object], str]] = {
    "RELAY_ENV": ("env", _choice("development", "production"), "development or production"),
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
    "TELEMETRY_ENABLED": ("telemetry_enabled", _boolean, "true or false"),
    "TELEMETRY_BACKEND": (
        "telemetry_backend",
        _choice("none", "prom", "otel", "all"),
        "none, prom, otel or all",
    ),
    "GRAFANA_URL": ("grafana_url", _link, "an http:// or https:// URL"),
    "TEMPO_DATASOURCE_UID": ("tempo_datasource_uid", _uid, "the uid of a data source in Grafana"),
    "TRACE_LINK_TEMPLATE": (
        "trace_link_template",
        _trace_link_template,
        "a URL with {trace_id}, {span_id} or {request_id} in it",
    ),
    "TRUST_TRACEPARENT": ("trust_traceparent", _boolean, "true or false"),
    "TEMPO_URL": ("tempo_url", _link, "an http:// or https:// URL"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("otlp_endpoint", _link, "an http:// or https:// URL"),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": (
        "otlp_traces_endpoint",
        _link,
        "an http:// or https:// URL",
    ),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("otlp_protocol", _choice("http/protobuf"), "http/protobuf"),
    "OTEL_SDK_DISABLED": ("otel_disabled", _boolean, "true or false"),
}
