"""The environment variables: what each may hold.

A value that cannot be meant stops the start: the error names the variable,
what it held, unless that may be a secret, and what it may hold.
"""

from collections.abc import Callable
from pathlib import Path

from gateway.config import parsers


class SettingsError(Exception):
    """A variable holds what it may not."""


# A URL may have a key in its path or query.
SECRET_VARIABLES = frozenset(
    """REDIS_URL DATABASE_URL RELAY_KEY_PEPPER RELAY_AUDIT_KEY RELAY_ENCRYPTION_KEY RELAY_API_KEY
    ACTIONS_SIGNING_SECRET WEBHOOK_URL TEMPO_URL OTEL_EXPORTER_OTLP_ENDPOINT
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT""".split()
)


def read(variable: str, text: str, parse: Callable[[str], object], may_hold: str) -> object:
    """The parsed value. Raises SettingsError."""
    try:
        return parse(text.strip())
    except ValueError:
        held = "a secret" if variable in SECRET_VARIABLES or "@" in text else repr(text)
    # Outside of the handler: what was caught may quote a password.
    raise SettingsError(f"{variable} is {held}; it may hold {may_hold}")


LONG_SECRETS = "secrets of 32 characters or more with commas between them, newest first"
A_MINUTE = "a number of requests a minute, 1 to 1000000"

VARIABLES: dict[str, tuple[str, Callable[[str], object], str]] = {
    "RELAY_ENV": ("env", parsers.choice("development", "production"), "development or production"),
    "REDIS_URL": ("redis_url", parsers.redis_url, "a redis://, rediss:// or unix:// URL"),
    "DATABASE_URL": (
        "database_url",
        parsers.database_url,
        "a postgresql:// URL, or sqlite:/// and a path",
    ),
    "RELAY_DATA_DIR": ("data_dir", Path, "a folder"),
    "RELAY_KEY_PEPPER": ("key_peppers", parsers.long_secrets, LONG_SECRETS),
    "RELAY_AUDIT_KEY": ("audit_keys", parsers.long_secrets, LONG_SECRETS),
    "RELAY_ENCRYPTION_KEY": (
        "encryption_keys",
        parsers.encryption_keys,
        "keys with commas between them, newest first, each 32 bytes in base64",
    ),
    "AUDIT_RETENTION": ("audit_retention", parsers.days(1, 3650), "a number of days, 1 to 3650"),
    "RATE_LIMIT_ENABLED": ("rate_limit_enabled", parsers.boolean, "true or false"),
    "RATE_LIMIT_PREVIEW": ("preview_limit", parsers.whole(1, 1_000_000), A_MINUTE),
    "RATE_LIMIT_EXECUTE": ("execute_limit", parsers.whole(1, 1_000_000), A_MINUTE),
    "RUNS_AT_ONCE": ("runs_at_once", parsers.whole(1, 100_000), "a number, 1 to 100000"),
    "RUNS_AT_ONCE_PER_TARGET": (
        "runs_at_once_per_target",
        parsers.whole(1, 100_000),
        "a number, 1 to 100000",
    ),
    "TRUSTED_PROXIES": (
        "trusted_proxies",
        parsers.networks,
        "addresses and CIDR networks with commas between them",
    ),
    "RELAY_API_KEY": ("api_key", parsers.api_key, "an API key of Relay"),
    "ACTIONS_ENABLED": ("actions_enabled", parsers.boolean, "true or false"),
    "ACTIONS_SIGNING_SECRET": (
        "signing_secrets",
        parsers.signing_secrets,
        "secrets with commas between them, newest first; whsec_ is followed by base64",
    ),
    "WEBHOOK_URL": ("webhook_url", parsers.url, "an http:// or https:// URL"),
    "ACTION_TIMEOUT": (
        "action_timeout",
        parsers.seconds(0.1, 300),
        "a number of seconds, 0.1 to 300",
    ),
    "EGRESS_ALLOW": (
        "egress_allow",
        parsers.egress_allow,
        "host names, addresses and CIDR networks with commas between them",
    ),
    "CORS_ORIGINS": ("cors_origins", parsers.origins, "origins such as https://studio.example.com"),
    "STOP_DELAY": ("stop_delay", parsers.seconds(0, 60), "a number of seconds, 0 to 60"),
    "TELEMETRY_ENABLED": ("telemetry_enabled", parsers.boolean, "true or false"),
    "TELEMETRY_BACKEND": (
        "telemetry_backend",
        parsers.choice("none", "prom", "otel", "all"),
        "none, prom, otel or all",
    ),
    "GRAFANA_URL": (
        "grafana_url",
        parsers.grafana_url,
        "an http:// or https:// URL without user or query",
    ),
    "TEMPO_DATASOURCE_UID": (
        "tempo_datasource_uid",
        parsers.uid,
        "the uid of a data source in Grafana",
    ),
    "TRACE_LINK_TEMPLATE": (
        "trace_link_template",
        parsers.trace_link_template,
        "a URL with {trace_id}, {span_id} or {request_id} in it and no user",
    ),
    "TRUST_TRACEPARENT": ("trust_traceparent", parsers.boolean, "true or false"),
    "TEMPO_URL": ("tempo_url", parsers.link, "an http:// or https:// URL"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        "otlp_endpoint",
        parsers.base,
        "an http:// or https:// URL without a query",
    ),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": (
        "otlp_traces_endpoint",
        parsers.link,
        "an http:// or https:// URL",
    ),
    "OTEL_EXPORTER_OTLP_PROTOCOL": (
        "otlp_protocol",
        parsers.choice("http/protobuf"),
        "http/protobuf",
    ),
    "OTEL_SDK_DISABLED": ("otel_disabled", parsers.otel_boolean, "true or false"),
    "OTEL_TRACES_EXPORTER": ("otlp_exporter", parsers.choice("otlp", "none"), "otlp or none"),
}
