"""Eight gateways, one expiring connection, a rotating provider that detects reuse: one refresh, and
eight sends that work.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from tests.support.fleet import Site, gateways
from tests.support.forks import Fork, Forks
from tests.support.gateways import Relay
from tests.support.identity_provider import IdentityProvider, identifying
from tests.support.refreshing import (
    clients,
    connect,
    env_of,
    pause,
    preview,
    resume,
    send,
    spend,
    state,
    successes,
)

GATEWAYS = 8


class Race(NamedTuple):
    provider: IdentityProvider
    forks: Sequence[Fork]
    relays: Sequence[Relay]
    previews: Sequence[str]


@asynccontextmanager
async def racing(site: Site, forks: Forks) -> AsyncIterator[Race]:
    """Each gateway has a preview that it has not sent yet."""
    async with identifying(rotation="strict") as provider:
        key = await connect(site, provider)
        envs = [env_of(site, provider)] * GATEWAYS
        async with gateways(forks, *envs) as opened, clients(key, *opened) as relays:
            asked = (preview(relay, provider.url) for relay in relays)
            yield Race(provider, opened, relays, await asyncio.gather(*asked))


@pytest.mark.parametrize("latency", [0.0, 4.0])
async def test_eight_gateways_refresh_once(each_site: Site, forks: Forks, latency: float) -> None:
    """Also where the provider takes its time; what is stored refreshes the next time."""
    async with racing(each_site, forks) as (provider, _, relays, previews):
        provider.latency = latency
        runs = await asyncio.gather(*map(send, relays, previews))
        assert successes(runs) == GATEWAYS, runs
        assert len(provider.sends) == GATEWAYS
        assert provider.refreshes == 1
        assert await state(each_site) == ("active", 2)
        provider.latency = 0
        spend(each_site)
        again = await send(relays[3], await preview(relays[3], provider.url))
        assert again["status"] == "success"
        assert provider.refreshes == 2


async def test_the_owner_of_the_lock_is_paused(site: Site, forks: Forks) -> None:
    """It holds the right to refresh and the answer of the provider; the others wait for it, and no
    second refresh ends the grant.
    """
    async with racing(site, forks) as (provider, opened, relays, previews):
        provider.before.clear()
        first = asyncio.create_task(send(relays[0], previews[0]))
        await provider.arrived.wait()
        pause(opened[0])
        rest = [
            asyncio.create_task(send(relay, preview_id))
            for relay, preview_id in zip(relays[1:], previews[1:], strict=True)
        ]
        provider.before.set()
        await provider.worked.wait()
        done, _ = await asyncio.wait(rest, timeout=2)
        assert done == set()
        resume(opened[0])
        runs = await asyncio.gather(first, *rest)
        assert successes(runs) == GATEWAYS, runs
        assert provider.refreshes == 1
        assert provider.ended == set()
