"""What production demands of the environment."""

import pytest

from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

PRODUCTION = {
    "RELAY_ENV": "production",
    "REDIS_URL": "redis://user:hunter2@localhost:6379/0",
    "DATABASE_URL": "postgresql://relay:hunter2@localhost/relay",
    "RELAY_KEY_PEPPER": "p" * 32,
    "RELAY_AUDIT_KEY": "a" * 32,
}


@pytest.mark.parametrize("variable", sorted(PRODUCTION.keys() - {"RELAY_ENV"}))
def test_production_requires_stores_and_secrets(variable: str) -> None:
    """The embedded stores are for one machine, and every request needs a key."""
    assert Settings.from_env(PRODUCTION).production
    for environ in ({**PRODUCTION, variable: ""}, {**PRODUCTION, variable: " "}):
        with pytest.raises(SettingsError, match=rf"{variable} is .*"):
            Settings.from_env(environ)
    without = {name: text for name, text in PRODUCTION.items() if name != variable}
    with pytest.raises(SettingsError, match=rf"{variable} is not set; .*RELAY_ENV=production"):
        Settings.from_env(without)


def test_links_are_encrypted_in_production() -> None:
    """A page of approvals is reached over https; in development also over http."""
    https = Settings.from_env({**PRODUCTION, "PUBLIC_URL": "https://relay.example"})
    assert https.public_url == "https://relay.example"
    with pytest.raises(SettingsError, match="PUBLIC_URL begins with http:"):
        Settings.from_env({**PRODUCTION, "PUBLIC_URL": "http://relay.example"})
    assert Settings.from_env({"PUBLIC_URL": "http://relay.example"}).public_url
