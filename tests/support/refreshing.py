"""Gateways as processes that share one connection, and runs that are sent with it."""

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gateway.connections.grants import Kept, seal_kept
from stores.redis import names
from stores.sql import connections
from tests.support.fleet import Site
from tests.support.forks import Fork
from tests.support.gateways import Relay, client
from tests.support.identity_provider import CLIENT_ID, IdentityProvider
from tests.support.oauth import SEALER, row_of
from tests.support.services import ENCRYPTION_KEY

CONNECTION = "c-1"


def env_of(site: Site, provider: IdentityProvider, **more: str) -> dict[str, str]:
    given = {
        "RELAY_ENCRYPTION_KEY": base64.b64encode(ENCRYPTION_KEY).decode(),
        "PUBLIC_URL": "https://relay.example",
        "GOOGLE_CLIENT_ID": CLIENT_ID,
        "GOOGLE_CLIENT_SECRET": provider.client_secret,
        "GOOGLE_BASE_URL": provider.url,
        "ACTION_TIMEOUT": "25",
    }
    return site.env(**{**given, **more})


async def connect(site: Site, provider: IdentityProvider) -> str:
    """Store a connection whose access token has expired. A key that may send any request."""
    row = row_of(provider, id=CONNECTION)
    kept = Kept("refresh", provider.refresh_token())
    async with site.database() as database, database.begin() as connection:
        await connections.insert(connection, row, seal_kept(SEALER, kept, row, version=1))
    return (await site.key("agent", "admin")).secret


async def state(site: Site) -> tuple[str, int]:
    """The state and the version of the connection."""
    async with site.database() as database, database.connect() as connection:
        found = await connections.find(connection, "default", CONNECTION)
    assert found
    return found.row.state, found.row.version


def spend(site: Site) -> None:
    """The access token is gone, as if its time were over."""
    with site.valkey.client() as redis:
        redis.delete(names.access_token("default", CONNECTION))


def end_lock(site: Site) -> None:
    """The right to refresh ends, as it does after 15 s."""
    with site.valkey.client() as redis:
        redis.delete(names.refreshing("default", CONNECTION))


@asynccontextmanager
async def clients(key: str, *forks: Fork) -> AsyncIterator[list[Relay]]:
    """One for each gateway."""
    opened = [client(fork.url) for fork in forks]
    try:
        for relay in opened:
            relay.headers["Authorization"] = f"Bearer {key}"
        yield opened
    finally:
        await asyncio.gather(*(relay.aclose() for relay in opened))


async def preview(relay: Relay, url: str) -> str:
    """Of a request to the API of the provider at this URL."""
    params = {"url": f"{url}/api", "method": "POST", "connection": CONNECTION}
    answer = await relay.post("/actions/preview", json={"action": "http.request", "params": params})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["preview_id"])


async def send(relay: Relay, preview_id: str) -> dict[str, Any]:
    """The run, or the problem."""
    answer = await relay.execute(preview_id)
    body = answer.json()
    assert isinstance(body, dict)
    return body


def pause(fork: Fork) -> None:
    os.kill(fork.pid, signal.SIGSTOP)


def resume(fork: Fork) -> None:
    os.kill(fork.pid, signal.SIGCONT)


def successes(runs: Sequence[dict[str, Any]]) -> int:
    return sum(run.get("status") == "success" for run in runs)
