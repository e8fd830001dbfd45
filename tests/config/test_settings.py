"""What the environment may hold, and the error when it holds something else."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.config.variables import VARIABLES, SettingsError

REDIS = "redis://user:hunter2@localhost:6379/0"


def shown(value: object) -> object:
    """Secrets opened, for comparing."""
    if isinstance(value, Secret):
        return value.reveal()
    return tuple(map(shown, value)) if isinstance(value, tuple) else value


def refusal(variable: str, text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: text})
    return caught.value


def test_an_empty_environment_is_enough() -> None:
    """Each default, spelled out."""
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.env, settings.production) == ("development", False)
    assert settings.redis_url is None
    assert settings.data_dir == Path(".relay")
    assert settings.actions_enabled is True
    assert settings.signing_secrets == ()
    assert settings.webhook_url is None
    assert settings.action_timeout == timedelta(seconds=15)
    assert (settings.egress_hosts, settings.egress_networks) == (frozenset(), ())
    assert settings.cors_origins == ()
    assert settings.stop_delay == timedelta(seconds=2)


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_an_empty_variable_is_an_unset_one(variable: str) -> None:
    """`X=` in a compose file means the default."""
    assert Settings.from_env({variable: ""}) == Settings()


def test_variables_of_others_are_not_looked_at() -> None:
    """The environment holds much that is none of ours."""
    assert Settings.from_env({"PATH": "/bin", "RELAY_ENVIRONMENT": "x"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("RELAY_ENV", "development", "env", "development"),
        ("RELAY_ENV", " development ", "env", "development"),
        ("REDIS_URL", REDIS, "redis_url", REDIS.encode()),
        ("REDIS_URL", "rediss://host", "redis_url", b"rediss://host"),
        ("REDIS_URL", "unix:///run/v.sock", "redis_url", b"unix:///run/v.sock"),
        ("RELAY_DATA_DIR", "/var/lib/relay", "data_dir", Path("/var/lib/relay")),
        ("ACTIONS_ENABLED", "true", "actions_enabled", True),
        ("ACTIONS_ENABLED", "1", "actions_enabled", True),
        ("ACTIONS_ENABLED", "FALSE", "actions_enabled", False),
        ("ACTIONS_ENABLED", "0", "actions_enabled", False),
        ("ACTIONS_SIGNING_SECRET", "plain", "signing_secrets", (b"plain",)),
        ("ACTIONS_SIGNING_SECRET", "neu\u00e9, old", "signing_secrets", ("neué".encode(), b"old")),
        ("ACTIONS_SIGNING_SECRET", "whsec_a2V5", "signing_secrets", (b"key",)),
        ("WEBHOOK_URL", "https://example.org/hook", "webhook_url", "https://example.org/hook"),
        ("WEBHOOK_URL", "http://example.org/", "webhook_url", "http://example.org/"),
        ("ACTION_TIMEOUT", "0.1", "action_timeout", timedelta(seconds=0.1)),
        ("ACTION_TIMEOUT", "300", "action_timeout", timedelta(seconds=300)),
        ("EGRESS_ALLOW", "a.local, B.Local.", "egress_hosts", frozenset({"a.local", "b.local"})),
        ("EGRESS_ALLOW", "10.0.0.0/8", "egress_networks", (ip_network("10.0.0.0/8"),)),
        ("EGRESS_ALLOW", "10.0.0.1", "egress_networks", (ip_network("10.0.0.1/32"),)),
        ("EGRESS_ALLOW", "B.local.:81", "egress_authorities", frozenset({("b.local", 81)})),
        ("EGRESS_ALLOW", "10.0.0.1:81", "egress_authorities", frozenset({("10.0.0.1", 81)})),
        ("EGRESS_ALLOW", "[FD00:0::1]:81", "egress_authorities", frozenset({("fd00::1", 81)})),
        ("EGRESS_PORTS", "8443, 1,65535", "egress_ports", frozenset({1, 8443, 65535})),
        ("EGRESS_ALLOW", "fd00::/8", "egress_networks", (ip_network("fd00::/8"),)),
        ("EGRESS_ALLOW", "::ffff:10.0.0.5", "egress_networks", (ip_network("10.0.0.5"),)),
        ("CORS_ORIGINS", "https://a.example", "cors_origins", ("https://a.example",)),
        (
            "CORS_ORIGINS",
            "https://a, http://b:3000",
            "cors_origins",
            ("https://a", "http://b:3000"),
        ),
        ("CORS_ORIGINS", "HTTPS://A.Example:443", "cors_origins", ("https://a.example",)),
        ("CORS_ORIGINS", "http://a:80, http://a:443", "cors_origins", ("http://a", "http://a:443")),
        ("CORS_ORIGINS", "https://a:80", "cors_origins", ("https://a:80",)),
        ("CORS_HEADERS", "X-A, x-b3-traceid", "cors_headers", ("X-A", "x-b3-traceid")),
        ("CORS_ORIGINS", "http://[::1]:80", "cors_origins", ("http://[::1]",)),
        ("PUBLIC_URL", "https://Relay.example/", "public_url", "https://relay.example"),
        ("PUBLIC_URL", "http://127.0.0.1:8000", "public_url", "http://127.0.0.1:8000"),
        ("STOP_DELAY", "0", "stop_delay", timedelta(0)),
        ("STOP_DELAY", "60", "stop_delay", timedelta(seconds=60)),
    ],
)
def test_a_value_that_can_be_meant(variable: str, text: str, field: str, value: Any) -> None:
    """The variable sets its field, and no other."""
    settings = Settings.from_env({variable: text})
    assert shown(getattr(settings, field)) == value
    others = set(Settings.__struct_fields__) - {field}
    assert all(getattr(settings, other) == getattr(Settings(), other) for other in others)


def test_hosts_and_networks_share_a_variable() -> None:
    """EGRESS_ALLOW takes both, in any order."""
    settings = Settings.from_env({"EGRESS_ALLOW": "a.local,10.0.0.0/8,b.local,::1"})
    assert settings.egress_hosts == {"a.local", "b.local"}
    assert settings.egress_networks == (ip_network("10.0.0.0/8"), ip_network("::1"))


NO_PUBLIC_URLS = """https://a.example/relay https://a.example// https://a.example?b https://a#b
https://a,https://b https://a:65536 a.example //a.example ftp://a.example""".split()
NO_ORIGINS = """https://a.example/ https://*.a.example https://* https://a?b https://a#b
https://é.example https://a: https://a:0 https://a:080 https://a:123456
https://[::1 ftp://a null https://a:65536""".split()
# What `float` takes beside numbers.
NO_NUMBERS = ["1_0", "+5", "٣", "３", "1e1", "5.", ".5", "1 0", "5s", "0x5"]
# Path("") is the current folder.
NO_PATHS = [" ", "a\0b", "a\nb", "\u200b", "a\udcff"]


@pytest.mark.parametrize(
    ("variable", "text", "may_hold"),
    [
        ("RELAY_ENV", "prod", "development or production"),
        ("RELAY_ENV", "Production", "development or production"),
        ("ACTIONS_ENABLED", "yes", "true or false"),
        ("ACTIONS_ENABLED", " ", "true or false"),
        ("ACTION_TIMEOUT", "0.09", "0.1 to 300"),
        ("ACTION_TIMEOUT", "300.1", "0.1 to 300"),
        ("ACTION_TIMEOUT", "15s", "0.1 to 300"),
        ("ACTION_TIMEOUT", "nan", "0.1 to 300"),
        ("ACTION_TIMEOUT", "inf", "0.1 to 300"),
        *[("ACTION_TIMEOUT", text, "0.1 to 300") for text in NO_NUMBERS],
        *[("STOP_DELAY", text, "0 to 60") for text in NO_NUMBERS],
        *[("RELAY_DATA_DIR", text, "a folder") for text in NO_PATHS],
        *[("RELAY_APPROVAL_POLICY", text, "a TOML file") for text in NO_PATHS],
        ("STOP_DELAY", "-0.1", "0 to 60"),
        ("STOP_DELAY", "60.1", "0 to 60"),
        ("EGRESS_ALLOW", "10.0.0.0/33", "CIDR"),
        ("EGRESS_ALLOW", "10.0.0.1/8", "CIDR"),
        ("EGRESS_ALLOW", "10.0.0.256", "CIDR"),
        ("EGRESS_ALLOW", "*.local", "CIDR"),
        ("EGRESS_ALLOW", "a.local:0", "host:port"),
        ("EGRESS_ALLOW", "a.local:65536", "host:port"),
        ("EGRESS_ALLOW", "a.local:", "host:port"),
        ("EGRESS_ALLOW", "10.0.0.0/8:81", "host:port"),
        ("EGRESS_ALLOW", "10.0.0.256:81", "host:port"),
        ("EGRESS_ALLOW", "fd00::1:81:", "host:port"),
        ("EGRESS_ALLOW", "[fd00::1]", "host:port"),
        ("EGRESS_PORTS", "0", "1 to 65535"),
        ("EGRESS_PORTS", "443,65536", "1 to 65535"),
        ("EGRESS_PORTS", "443-445", "1 to 65535"),
        ("EGRESS_ALLOW", "https://a.local", "CIDR"),
        ("EGRESS_ALLOW", "a.local,,b.local", "CIDR"),
        ("CORS_ORIGINS", "*", "origins"),
        ("CORS_HEADERS", "*", "header names"),
        ("CORS_HEADERS", "a b", "header names"),
        ("CORS_ORIGINS", "a.example", "origins"),
        ("CORS_ORIGINS", "https://a.example,", "origins"),
        *[("CORS_ORIGINS", origin, "origins") for origin in NO_ORIGINS],
        *[("PUBLIC_URL", url, "of a host alone") for url in NO_PUBLIC_URLS],
    ],
)
def test_a_value_that_cannot_be_meant_stops_the_start(
    variable: str, text: str, may_hold: str
) -> None:
    """The error says the variable, what it held and what it may hold."""
    message = str(refusal(variable, text))
    assert message.startswith(f"{variable} is {text!r}; it may hold ")
    assert may_hold in message


def test_a_long_wrong_value_is_cut() -> None:
    """A whole file that was put into a variable is not the error."""
    message = str(refusal("ACTION_TIMEOUT", "x" * 100_000))
    assert len(message) < 300
    assert f"'{'x' * 200}…'" in message


@pytest.mark.parametrize(
    ("variable", "wrong"),
    [
        ("DATABASE_URL", "mysql://u:p@h/d"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "postgresql://h/relay?sslmode=often"),
        ("RELAY_KEY_PEPPER", "p" * 31),
        ("RELAY_AUDIT_KEY", f"{'a' * 32},"),
        ("RELAY_ENCRYPTION_KEY", "AAAA"),
        ("RATE_LIMIT_EXECUTE", "0"),
        ("RATE_LIMIT_PREVIEW", "1000001"),
        ("RATE_LIMIT_PREVIEW", "١"),
        ("RUNS_AT_ONCE", "-1"),
        ("AUDIT_RETENTION", "0.5"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_a_limit_or_secret_that_cannot_be_meant_stops_the_start(variable: str, wrong: str) -> None:
    """The error names the variable."""
    assert variable in str(refusal(variable, wrong))


def test_settings_are_frozen() -> None:
    """What was read at the start holds until the end."""
    with pytest.raises(AttributeError):
        Settings().env = "production"  # type: ignore[misc]
