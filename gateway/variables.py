"""The environment variables: what each may hold.

A value that cannot be meant stops the start: the error names the variable,
what it held, unless that may be a secret, and what it may hold.
"""

from collections.abc import Callable
from pathlib import Path

from gateway import values


class SettingsError(Exception):
    """A variable holds what it may not."""


# A URL may have a key in its path or query.
SECRET_VARIABLES = frozenset(
    """REDIS_URL ACTIONS_SIGNING_SECRET WEBHOOK_URL TEMPO_URL OTEL_EXPORTER_OTLP_ENDPOINT
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


VARIABLES: dict[str, tuple[str, Callable[[str], object], str]] = {
    "RELAY_ENV": ("env", values.choice("development", "production"), "development or production"),
    "REDIS_URL": ("redis_url", values.redis_url, "a redis://, rediss:// or unix:// URL"),
    "RELAY_DATA_DIR": ("data_dir", Path, "a folder"),
    "ACTIONS_ENABLED": ("actions_enabled", values.boolean, "true or false"),
    "ACTIONS_SIGNING_SECRET": (
        "signing_secrets",
        values.signing_secrets,
        "secrets with commas between them, newest first; whsec_ is followed by base64",
    ),
    "WEBHOOK_URL": ("webhook_url", values.url, "an http:// or https:// URL"),
    "ACTION_TIMEOUT": (
        "action_timeout",
        values.seconds(0.1, 300),
        "a number of seconds, 0.1 to 300",
    ),
    "EGRESS_ALLOW": (
        "egress_allow",
        values.egress_allow,
        "host names, addresses and CIDR networks with commas between them",
    ),
    "CORS_ORIGINS": ("cors_origins", values.origins, "origins such as https://studio.example.com"),
    "STOP_DELAY": ("stop_delay", values.seconds(0, 60), "a number of seconds, 0 to 60"),
    "TELEMETRY_ENABLED": ("telemetry_enabled", values.boolean, "true or false"),
    "TELEMETRY_BACKEND": (
        "telemetry_backend",
        values.choice("none", "prom", "otel", "all"),
        "none, prom, otel or all",
    ),
    "GRAFANA_URL": (
        "grafana_url",
        values.grafana_url,
        "an http:// or https:// URL without user or query",
    ),
    "TEMPO_DATASOURCE_UID": (
        "tempo_datasource_uid",
        values.uid,
        "the uid of a data source in Grafana",
    ),
    "TRACE_LINK_TEMPLATE": (
        "trace_link_template",
        values.trace_link_template,
        "a URL with {trace_id}, {span_id} or {request_id} in it and no user",
    ),
    "TRUST_TRACEPARENT": ("trust_traceparent", values.boolean, "true or false"),
    "TEMPO_URL": ("tempo_url", values.link, "an http:// or https:// URL"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        "otlp_endpoint",
        values.base,
        "an http:// or https:// URL without a query",
    ),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": (
        "otlp_traces_endpoint",
        values.link,
        "an http:// or https:// URL",
    ),
    "OTEL_EXPORTER_OTLP_PROTOCOL": (
        "otlp_protocol",
        values.choice("http/protobuf"),
        "http/protobuf",
    ),
    "OTEL_SDK_DISABLED": ("otel_disabled", values.otel_boolean, "true or false"),
    "OTEL_TRACES_EXPORTER": ("otlp_exporter", values.choice("otlp", "none"), "otlp or none"),
}
