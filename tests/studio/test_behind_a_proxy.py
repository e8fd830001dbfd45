"""Behind an identity-aware proxy Studio goes straight in, or says what the proxy lacks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.flows.test_people_behind_a_proxy import knows_its_keys
from tests.support.browsing import Watched, chromium
from tests.support.issuer import Issuer, issuing
from tests.support.keyed import keyed_gateway
from tests.support.valkey import Valkey


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as opened:
        yield opened


@pytest.fixture
async def watched(valkey: Valkey, tmp_path: Path, issuer: Issuer) -> AsyncIterator[Watched]:
    async with (
        keyed_gateway(valkey.url, tmp_path, **issuer.trusted()) as keyed,
        chromium() as browser,
    ):
        await knows_its_keys(keyed)
        found = Watched(browser, keyed.url)
        yield found
        assert found.complaints == []


async def test_no_key_is_asked_for(watched: Watched, issuer: Issuer) -> None:
    """The proxy signs out, so Studio does not offer it."""
    page = await watched.page(await watched.context(extra_http_headers=issuer.headers()))
    await page.goto("/studio/approvals")
    await expect(
        page.get_by_text(f"Signed in by your proxy as oidc:{issuer.url}|ann")
    ).to_be_visible()
    await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"aud": "another"}, "names another audience than RELAY_OIDC_AUDIENCE"),
        ({"sub": None}, "lacks `sub`"),
        ({"groups": None}, "None of the groups that the proxy names has a role here"),
    ],
)
async def test_what_the_proxy_lacks_is_named(
    watched: Watched, issuer: Issuer, given: dict[str, str], words: str
) -> None:
    """A key would not help: the assertion beats its session."""
    page = await watched.page(await watched.context(extra_http_headers=issuer.headers(**given)))
    await page.goto("/studio/approvals")
    await expect(page.get_by_role("alert")).to_contain_text(words)
    await expect(page.get_by_label("API key")).to_have_count(0)
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
