"""No error and no repr of the settings has the text of a secret."""

import base64
import traceback

import pytest

from gateway.config.settings import Settings
from gateway.config.variables import VARIABLES
from tests.config.test_settings import REDIS, refusal


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("REDIS_URL", "http://user:hunter2@localhost"),
        ("REDIS_URL", "hunter2"),
        ("WEBHOOK_URL", "hooks.example.org/hunter2"),
        ("WEBHOOK_URL", "ftp://example.org/?key=hunter2"),
        ("WEBHOOK_URL", "https://[::1/hunter2"),
        ("WEBHOOK_URL", "https:///hunter2"),
        ("WEBHOOK_URL", "https://example.org:65536/hunter2"),
        ("WEBHOOK_URL", "https://example.org/a hunter2"),
        ("TEMPO_URL", "user:hunter2@tempo:3200"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318/?api-key=hunter2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/?api-key=hunter2"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "hunter2"),
        ("GRAFANA_URL", "https://user:hunter2@g.example"),
        ("TRACE_LINK_TEMPLATE", "https://user:hunter2@t.example/{trace_id}"),
        ("REDIS_URL", "redis://user:hunter2@localhost:port"),
        ("REDIS_URL", "redis://user:hunter2/x@localhost:6379"),
        ("ACTIONS_SIGNING_SECRET", "hunter2,,b"),
        ("ACTIONS_SIGNING_SECRET", "whsec_hunter2!"),
        ("ACTIONS_SIGNING_SECRET", "hunter2,whsec_"),
    ],
)
def test_a_wrong_secret_is_not_shown(variable: str, text: str) -> None:
    """The error names the variable and what it may hold; no part of its trace has the value."""
    error = refusal(variable, text)
    may_hold = VARIABLES[variable][2]
    assert str(error) == f"{variable} is a secret; it may hold {may_hold}"
    assert "hunter2" not in "".join(traceback.format_exception(error))


def test_no_secret_is_in_a_repr() -> None:
    """Neither the settings' repr nor str nor a format shows what a secret holds."""
    settings = Settings.from_env({"REDIS_URL": REDIS, "ACTIONS_SIGNING_SECRET": "hunter2"})
    for text in (repr(settings), str(settings), f"{settings.redis_url} {settings.redis_url!r}"):
        assert "hunter2" not in text
        assert "Secret(…)" in text
    assert settings.redis_url
    assert settings.redis_url.reveal() == REDIS.encode()


@pytest.mark.parametrize("name", [name for name, row in VARIABLES.items() if row.secret])
def test_the_settings_show_no_variable_that_is_secret(name: str) -> None:
    """Also not a URL, which may have a key in its path or a password."""
    secret = base64.b64encode(b"hunter2-" * 4).decode()
    texts = {
        "REDIS_URL": f"redis://:{secret}@localhost".replace("=", ""),
        "DATABASE_URL": f"postgresql://u:{secret}@localhost/d".replace("=", ""),
        "RELAY_API_KEY": f"rly_live_{secret}".replace("=", ""),
    }
    text = texts.get(name, f"https://h/{secret}" if name.endswith(("_URL", "POINT")) else secret)
    whole = {}
    if name.endswith("_CLIENT_SECRET"):
        whole = {name.replace("SECRET", "ID"): "id", "PUBLIC_URL": "https://relay.example"}
    settings = Settings.from_env({**whole, name: text})
    assert getattr(settings, VARIABLES[name].field)
    assert "hunter2" not in repr(settings)
    assert secret.rstrip("=") not in f"{settings!r} {settings} {[*settings.__rich_repr__()]}"
