"""The registration of Relay at a provider is whole, or the start says what is missing."""

import pytest

from gateway.config.providers import NAMES
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from tests.config.test_production import PRODUCTION

WHOLE = {"CLIENT_ID": "relay-app", "CLIENT_SECRET": "hunter2"}
PUBLIC = {"PUBLIC_URL": "https://relay.example"}


def registered(name: str, **more: str) -> dict[str, str]:
    return {f"{name.upper()}_{part}": text for part, text in {**WHOLE, **more}.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_is_configured_by_its_registration(name: str) -> None:
    """Its id and its secret belong to it alone."""
    providers = Settings.from_env({**PUBLIC, **registered(name)}).providers
    assert providers[name].client_id == "relay-app"
    assert providers[name].client_secret
    assert [it for it in NAMES if providers[it].client_id] == [name]
    assert "hunter2" not in repr(providers)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("half", ["CLIENT_ID", "CLIENT_SECRET"])
def test_half_a_registration_stops_the_start(name: str, half: str) -> None:
    """The sentence names the missing half."""
    missing = f"{name.upper()}_{half}"
    environ = {**PUBLIC, **registered(name)}
    del environ[missing]
    with pytest.raises(SettingsError, match=f"^{missing} is not set; it belongs to ") as caught:
        Settings.from_env(environ)
    assert "hunter2" not in str(caught.value)


def test_people_have_to_come_back() -> None:
    """Without PUBLIC_URL there is no redirect URI."""
    with pytest.raises(SettingsError, match=r"PUBLIC_URL is not set; with SLACK_CLIENT_ID"):
        Settings.from_env(registered("slack"))


def test_production_asks_the_real_provider() -> None:
    """A stand-in would get the client secret."""
    stand_in = registered("github", BASE_URL="http://127.0.0.1:9000")
    assert Settings.from_env({**PUBLIC, **stand_in}).providers["github"].base_url
    with pytest.raises(SettingsError, match="GITHUB_BASE_URL is set; in production"):
        Settings.from_env({**PRODUCTION, **PUBLIC, **stand_in})
    assert Settings.from_env({**PRODUCTION, **PUBLIC, **registered("github")}).providers


@pytest.mark.parametrize("tenant", ["../evil", "a/b", "", " ", "a?b", "a#b", "é"])
def test_a_tenant_is_one_part_of_a_path(tenant: str) -> None:
    """It may be an id, a domain or one of three words."""
    for good in ("common", "contoso.onmicrosoft.com", "9122040d-6c67-4c5b-b112-36a304b66dad"):
        settings = Settings.from_env({"MICROSOFT_TENANT": good})
        assert settings.providers["microsoft"].tenant == good
    if tenant:
        with pytest.raises(SettingsError, match="MICROSOFT_TENANT is"):
            Settings.from_env({"MICROSOFT_TENANT": tenant})
