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
def test_production_demands_what_it_rests_on(variable: str) -> None:
    """The embedded stores are for one machine, and every request needs a key."""
    assert Settings.from_env(PRODUCTION).production
    for environ in ({**PRODUCTION, variable: ""}, {**PRODUCTION, variable: " "}):
        with pytest.raises(SettingsError, match=rf"{variable} is .*"):
            Settings.from_env(environ)
    without = {name: text for name, text in PRODUCTION.items() if name != variable}
    with pytest.raises(SettingsError, match=rf"{variable} is not set; .*RELAY_ENV=production"):
        Settings.from_env(without)
