"""A gateway with a provider, and the browsers of people who connect their accounts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from gateway.config.secret import Secret
from tests.support.gateways import Relay, client
from tests.support.identity_provider import CLIENT_ID, IdentityProvider
from tests.support.keyed import Keyed, keyed_gateway

PUBLIC = "https://relay.example"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
ACTIONS = {
    "google": "google.gmail.send",
    "microsoft": "microsoft.outlook.send",
    "slack": "slack.chat.post_message",
    "github": "github.issues.create",
}


def registration(provider: IdentityProvider) -> dict[str, Any]:
    """The settings of a gateway that asks this provider."""
    return {
        "public_url": PUBLIC,
        f"{provider.kind}_client_id": CLIENT_ID,
        f"{provider.kind}_client_secret": Secret(provider.client_secret.encode()),
        f"{provider.kind}_base_url": provider.url,
    }


@asynccontextmanager
async def connecting_gateway(
    redis_url: str, folder: Path, provider: IdentityProvider, **given: Any
) -> AsyncIterator[Keyed]:
    async with keyed_gateway(redis_url, folder, **registration(provider), **given) as keyed:
        yield keyed


def path_of(url: str) -> str:
    """Its path and query: the gateway of a test has another address than its PUBLIC_URL."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Browser:
    """Keeps its cookies itself, so that a test can look at them and swap them."""

    def __init__(self, keyed: Keyed) -> None:
        self._client = keyed.client()
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    async def show(self, start_url: str) -> httpx2.Response:
        return await self._ask("GET", path_of(start_url))

    async def press(self, start_url: str, **headers: str) -> httpx2.Response:
        """The button of the start page."""
        return await self._ask("POST", path_of(start_url), headers or SAME_ORIGIN)

    async def back(self, callback: str) -> httpx2.Response:
        return await self._ask("GET", path_of(callback))

    async def connect(self, start_url: str) -> httpx2.Response:
        """All of it, with a consent."""
        pressed = await self.press(start_url)
        assert pressed.status_code == 303, pressed.text
        return await self.back(await consent(pressed.headers["location"]))

    async def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        sent = {**(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        answer = await self._client.request(method, path, headers=sent)
        for line in answer.headers.get_list("set-cookie"):
            self.set_cookies.append(line)
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer


async def consent(location: str) -> str:
    """Where the provider sends the browser back to."""
    async with client("http://provider.invalid") as browser:
        answer = await browser.get(location)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


async def asked(relay: Relay, provider: IdentityProvider, **given: Any) -> str:
    """The start URL that an administrator gets."""
    body = {"actions": [ACTIONS[provider.kind]], **given}
    answer = await relay.post(f"/connections/{provider.kind}/authorize", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["start_url"])


async def connections(relay: Relay) -> list[dict[str, Any]]:
    found = (await relay.get("/connections")).json()["connections"]
    assert isinstance(found, list)
    return found
