"""The environment variables, one row each: the field of Settings, the parser, what the variable may
hold, and whether its text is secret.

An invalid value stops the start: the error names the variable, what it holds, unless that may be
a secret, and what it may hold.
"""

from collections.abc import Callable
from typing import NamedTuple

from gateway.config import parsers
from stores.redis.server.urls import OPTIONS, TLS


class SettingsError(Exception):
    """A variable is missing or invalid."""


class Variable(NamedTuple):
    """`secret`: its text is not repeated; a URL may have a key in its path or query."""

    field: str
    parse: Callable[[str], object]
    may_hold: str
    secret: bool = False


def read(name: str, text: str) -> object:
    """The parsed value of a variable. Raises SettingsError."""
    variable = VARIABLES[name]
    try:
        return variable.parse(text.strip())
    except ValueError:
        held = "a secret" if variable.secret or "@" in text else quoted(text)
    # Outside of the handler: the caught error may quote a password.
    raise SettingsError(f"{name} is {held}; it may hold {variable.may_hold}")


def quoted(text: str) -> str:
    """What a variable holds, in a sentence: not a whole file that was put there."""
    return repr(text if len(text) <= QUOTED_MAX else f"{text[:QUOTED_MAX]}…")


# Characters of a wrong value in an error.
QUOTED_MAX = 200
LONG_SECRETS = "comma-separated secrets of 32 characters or more, newest first"
CLIENT_ID = "the client id that the provider has given out, without spaces"
CLIENT_KEY = "the client secret that the provider has given out, without spaces"
BASE_URL = "an http:// or https:// URL of a host alone, in place of the provider"
A_MINUTE = "a number of requests a minute, 1 to 1000000"

VARIABLES: dict[str, Variable] = {
    "RELAY_ENV": Variable(
        "env", parsers.choice("development", "production"), "development or production"
    ),
    "REDIS_URL": Variable(
        "redis_url",
        parsers.redis_url,
        "redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix:///path; "
        f"options behind ? are {', '.join(OPTIONS)}, with rediss also {', '.join(TLS)}",
        secret=True,
    ),
    "DATABASE_URL": Variable(
        "database_url",
        parsers.database_url,
        "a postgresql:// URL, or sqlite:/// and a path",
        secret=True,
    ),
    "RELAY_DATA_DIR": Variable("data_dir", parsers.path, "the path of a folder"),
    "RELAY_KEY_PEPPER": Variable("key_peppers", parsers.long_secrets, LONG_SECRETS, secret=True),
    "RELAY_AUDIT_KEY": Variable("audit_keys", parsers.long_secrets, LONG_SECRETS, secret=True),
    "RELAY_ENCRYPTION_KEY": Variable(
        "encryption_keys",
        parsers.encryption_keys,
        "comma-separated keys, newest first, each 32 bytes in base64",
        secret=True,
    ),
    "AUDIT_RETENTION": Variable(
        "audit_retention", parsers.days(1, 3650), "a number of days, 1 to 3650"
    ),
    "RATE_LIMIT_ENABLED": Variable("rate_limit_enabled", parsers.boolean, "true or false"),
    "RATE_LIMIT_PREVIEW": Variable("preview_limit", parsers.whole(1, 1_000_000), A_MINUTE),
    "RATE_LIMIT_EXECUTE": Variable("execute_limit", parsers.whole(1, 1_000_000), A_MINUTE),
    "RUNS_AT_ONCE": Variable("runs_at_once", parsers.whole(1, 100_000), "a number, 1 to 100000"),
    "RUNS_AT_ONCE_PER_TARGET": Variable(
        "runs_at_once_per_target", parsers.whole(1, 100_000), "a number, 1 to 100000"
    ),
    "TRUSTED_PROXIES": Variable(
        "trusted_proxies", parsers.proxies, "comma-separated addresses and CIDR networks"
    ),
    "RELAY_OIDC_ISSUER": Variable(
        "oidc_issuer",
        parsers.issuer,
        "the issuer of signed assertions, such as https://login.example.com; at most 128 visible "
        "characters and no |",
    ),
    "RELAY_OIDC_AUDIENCE": Variable(
        "oidc_audience", parsers.audience, "the audience of the assertions, without spaces"
    ),
    "RELAY_OIDC_HEADER": Variable(
        "oidc_header",
        parsers.signed_header,
        "the name of the header with the assertion; not Authorization or Cookie",
    ),
    "RELAY_OIDC_WORKSPACE": Variable(
        "oidc_workspace", parsers.workspace, "the name of a workspace"
    ),
    "RELAY_OIDC_ROLES": Variable(
        "oidc_roles", parsers.group_roles, "comma-separated group=role, each group once"
    ),
    "RELAY_OIDC_JWKS": Variable("oidc_jwks", parsers.link, "an http:// or https:// URL"),
    "RELAY_API_KEY": Variable("api_key", parsers.api_key, "an API key of Relay", secret=True),
    "ACTIONS_ENABLED": Variable("actions_enabled", parsers.boolean, "true or false"),
    "STUDIO_ENABLED": Variable("studio_enabled", parsers.boolean, "true or false"),
    "ACTIONS_SIGNING_SECRET": Variable(
        "signing_secrets",
        parsers.signing_secrets,
        "comma-separated secrets, newest first; whsec_ is followed by base64",
        secret=True,
    ),
    "WEBHOOK_URL": Variable("webhook_url", parsers.url, "an http:// or https:// URL", secret=True),
    "RELAY_APPROVAL_POLICY": Variable("approval_policy", parsers.path, "the path of a TOML file"),
    "PUBLIC_URL": Variable(
        "public_url",
        parsers.public_url,
        "an http:// or https:// URL of a host alone, such as https://relay.example.com",
    ),
    "GOOGLE_CLIENT_ID": Variable("google_client_id", parsers.audience, CLIENT_ID),
    "GOOGLE_CLIENT_SECRET": Variable(
        "google_client_secret", parsers.client_secret, CLIENT_KEY, secret=True
    ),
    "GOOGLE_BASE_URL": Variable("google_base_url", parsers.public_url, BASE_URL),
    "MICROSOFT_CLIENT_ID": Variable("microsoft_client_id", parsers.audience, CLIENT_ID),
    "MICROSOFT_CLIENT_SECRET": Variable(
        "microsoft_client_secret", parsers.client_secret, CLIENT_KEY, secret=True
    ),
    "MICROSOFT_TENANT": Variable(
        "microsoft_tenant",
        parsers.tenant,
        "common, organizations, consumers, or the id or domain of a tenant",
    ),
    "MICROSOFT_BASE_URL": Variable("microsoft_base_url", parsers.public_url, BASE_URL),
    "SLACK_CLIENT_ID": Variable("slack_client_id", parsers.audience, CLIENT_ID),
    "SLACK_CLIENT_SECRET": Variable(
        "slack_client_secret", parsers.client_secret, CLIENT_KEY, secret=True
    ),
    "SLACK_BASE_URL": Variable("slack_base_url", parsers.public_url, BASE_URL),
    "GITHUB_CLIENT_ID": Variable("github_client_id", parsers.audience, CLIENT_ID),
    "GITHUB_CLIENT_SECRET": Variable(
        "github_client_secret", parsers.client_secret, CLIENT_KEY, secret=True
    ),
    "GITHUB_BASE_URL": Variable("github_base_url", parsers.public_url, BASE_URL),
    "ACTION_TIMEOUT": Variable(
        "action_timeout", parsers.seconds(0.1, 300), "a number of seconds, 0.1 to 300"
    ),
    "EGRESS_ALLOW": Variable(
        "egress_allow",
        parsers.egress_allow,
        "comma-separated host names, addresses and CIDR networks; host:port for one port",
    ),
    "EGRESS_PORTS": Variable(
        "egress_ports", parsers.ports, "comma-separated port numbers, 1 to 65535"
    ),
    "CORS_ORIGINS": Variable(
        "cors_origins", parsers.origins, "origins such as https://studio.example.com"
    ),
    "CORS_HEADERS": Variable("cors_headers", parsers.header_names, "comma-separated header names"),
    "STOP_DELAY": Variable("stop_delay", parsers.seconds(0, 60), "a number of seconds, 0 to 60"),
    "TELEMETRY_ENABLED": Variable("telemetry_enabled", parsers.boolean, "true or false"),
    "TELEMETRY_BACKEND": Variable(
        "telemetry_backend",
        parsers.choice("none", "prom", "otel", "all"),
        "none, prom, otel or all",
    ),
    "GRAFANA_URL": Variable(
        "grafana_url",
        parsers.grafana_url,
        "an http:// or https:// URL without user or query",
        secret=True,
    ),
    "TEMPO_DATASOURCE_UID": Variable(
        "tempo_datasource_uid", parsers.uid, "the uid of a data source in Grafana"
    ),
    "TRACE_LINK_TEMPLATE": Variable(
        "trace_link_template",
        parsers.trace_link_template,
        "a URL with {trace_id}, {span_id} or {request_id} in it and no user",
    ),
    "TRUST_TRACEPARENT": Variable("trust_traceparent", parsers.boolean, "true or false"),
    "TEMPO_URL": Variable("tempo_url", parsers.link, "an http:// or https:// URL", secret=True),
    "OTEL_EXPORTER_OTLP_ENDPOINT": Variable(
        "otlp_endpoint", parsers.base, "an http:// or https:// URL without a query", secret=True
    ),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": Variable(
        "otlp_traces_endpoint", parsers.link, "an http:// or https:// URL", secret=True
    ),
    "OTEL_EXPORTER_OTLP_PROTOCOL": Variable(
        "otlp_protocol", parsers.choice("http/protobuf"), "http/protobuf"
    ),
    "OTEL_SDK_DISABLED": Variable("otel_disabled", parsers.otel_boolean, "true or false"),
    "OTEL_TRACES_EXPORTER": Variable(
        "otlp_exporter", parsers.choice("otlp", "none"), "otlp or none"
    ),
}
