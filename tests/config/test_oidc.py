"""RELAY_OIDC_*: all or none, and refused in plain words where they cannot be meant."""

import pytest

from gateway.config.settings import OIDC, Settings
from gateway.config.variables import SettingsError

GOOD = {
    "RELAY_OIDC_ISSUER": "https://login.example.com",
    "RELAY_OIDC_AUDIENCE": "relay",
    "RELAY_OIDC_HEADER": "X-Pomerium-Jwt-Assertion",
    "RELAY_OIDC_WORKSPACE": "default",
    "RELAY_OIDC_ROLES": "staff=viewer, cn=boss=admin",
}
PRODUCTION = {
    "RELAY_ENV": "production",
    "REDIS_URL": "redis://r.example",
    "DATABASE_URL": "postgresql://d.example/relay",
    "RELAY_KEY_PEPPER": "p" * 32,
    "RELAY_AUDIT_KEY": "a" * 32,
}


def refusal(**given: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({**GOOD, **given})
    return str(caught.value)


def test_together_they_trust_a_proxy() -> None:
    assert Settings.from_env(GOOD).oidc == {
        "issuer": "https://login.example.com",
        "audience": "relay",
        "header": b"x-pomerium-jwt-assertion",
        "workspace": "default",
        "roles": {"staff": "viewer", "cn=boss": "admin"},
        "jwks": None,
    }


def test_without_them_no_proxy_is_trusted() -> None:
    assert Settings.from_env({}).oidc is None


@pytest.mark.parametrize("missing", OIDC)
def test_one_of_them_alone_is_refused(missing: str) -> None:
    assert refusal(**{missing: ""}).startswith(f"{missing} is not set")


def test_keys_without_an_issuer_are_refused() -> None:
    with pytest.raises(SettingsError, match="RELAY_OIDC_ISSUER is not set"):
        Settings.from_env({"RELAY_OIDC_JWKS": "https://login.example.com/keys"})


def test_an_issuer_that_is_no_url_needs_a_url_of_its_keys() -> None:
    """Pomerium's is the host of its route."""
    assert "RELAY_OIDC_JWKS" in refusal(RELAY_OIDC_ISSUER="app.example.com")
    named = {"RELAY_OIDC_ISSUER": "app.example.com", "RELAY_OIDC_JWKS": "https://a.example/jwks"}
    oidc = Settings.from_env({**GOOD, **named}).oidc
    assert oidc
    assert oidc["jwks"] == "https://a.example/jwks"


@pytest.mark.parametrize("name", ["RELAY_OIDC_ISSUER", "RELAY_OIDC_JWKS"])
def test_production_reads_keys_over_https_alone(name: str) -> None:
    assert "https:" in refusal(**{**PRODUCTION, name: "http://login.example.com"})
    Settings.from_env({**GOOD, **PRODUCTION})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ISSUER", "https://a.example/ b"),
        ("ISSUER", "https://a.example/|b"),
        ("ISSUER", "https://" + "a" * 121),
        ("AUDIENCE", "a b"),
        ("HEADER", "Authorization"),
        ("HEADER", "cookie"),
        ("HEADER", "a, b"),
        ("HEADER", "a b"),
        ("WORKSPACE", "No Workspace"),
        ("ROLES", "staff"),
        ("ROLES", "=viewer"),
        ("ROLES", "staff="),
        ("ROLES", "staff=viewer,"),
        ("ROLES", "staff=viewer, staff=admin"),
        ("JWKS", "ftp://a.example"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, text: str) -> None:
    assert f"RELAY_OIDC_{name} is " in refusal(**{f"RELAY_OIDC_{name}": text})
