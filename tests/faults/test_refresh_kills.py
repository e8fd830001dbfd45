"""The gateway that refreshes dies or is paused too long: another one sends, or says in words that
the account has to be connected again. Nothing is ever sent without a valid token.
"""

import asyncio
from typing import Any

from tests.support.fleet import Site, gateways
from tests.support.forks import Forks
from tests.support.identity_provider import identifying
from tests.support.refreshing import (
    clients,
    connect,
    end_lock,
    env_of,
    pause,
    preview,
    resume,
    send,
    state,
)
from tests.support.target import hang, listening


def needs_reauth(problem: dict[str, Any]) -> bool:
    return (
        problem["code"] == "connection_needs_reauth"
        and problem["safe_to_retry"] is True
        and "ann@x.example has to be connected again" in problem["detail"]
    )


async def test_killed_before_its_request(each_site: Site, forks: Forks) -> None:
    """The provider has seen nothing: when the lock ends, the other one refreshes and sends."""
    async with identifying(rotation="strict") as provider, listening() as hole:
        hole.answer = hang
        key = await connect(each_site, provider)
        origin = hole.url.rstrip("/").rpartition("/")[0] if hole.url.count("/") > 2 else hole.url
        lost = env_of(each_site, provider, GOOGLE_BASE_URL=origin)
        async with (
            gateways(forks, lost, env_of(each_site, provider)) as (dying, other),
            clients(key, dying, other) as relays,
        ):
            sending = asyncio.create_task(send(relays[0], await preview(relays[0], origin)))
            await hole.arrived.wait()
            dying.kill()
            await asyncio.gather(sending, return_exceptions=True)
            end_lock(each_site)
            run = await send(relays[1], await preview(relays[1], provider.url))
            assert run["status"] == "success", run
            assert (provider.refreshes, len(provider.sends)) == (1, 1)
            assert await state(each_site) == ("active", 2)


async def test_killed_between_the_rotation_and_the_write(each_site: Site, forks: Forks) -> None:
    """The new refresh token died with the gateway, and the old one ends the grant: nothing is sent,
    and the connection says so, here and in its listing.
    """
    async with identifying(rotation="strict") as provider:
        key = await connect(each_site, provider)
        env = env_of(each_site, provider)
        async with (
            gateways(forks, env, env) as (dying, other),
            clients(key, dying, other) as relays,
        ):
            provider.gate.clear()
            sending = asyncio.create_task(send(relays[0], await preview(relays[0], provider.url)))
            await provider.worked.wait()
            dying.kill()
            await asyncio.gather(sending, return_exceptions=True)
            provider.gate.set()
            end_lock(each_site)
            preview_id = await preview(relays[1], provider.url)
            assert needs_reauth(await send(relays[1], preview_id))
            assert provider.sends == []
            assert await state(each_site) == ("needs_reauth", 1)
            shown = (await relays[1].get("/connections/c-1")).json()
            assert shown["state"] == "needs_reauth"
            # The same preview again: still nothing is sent, and the provider is not asked.
            assert needs_reauth(await send(relays[1], preview_id))
            assert provider.refreshes == 2


async def test_paused_until_another_one_has_the_lock(site: Site, forks: Forks) -> None:
    """It had the answer of the provider; the other one's use of the old token ended the grant. When
    it goes on, its write is refused, and it sends nothing.
    """
    async with identifying(rotation="strict") as provider:
        key = await connect(site, provider)
        env = env_of(site, provider)
        async with (
            gateways(forks, env, env) as (slow, other),
            clients(key, slow, other) as relays,
        ):
            provider.gate.clear()
            sending = asyncio.create_task(send(relays[0], await preview(relays[0], provider.url)))
            await provider.worked.wait()
            pause(slow)
            provider.gate.set()
            end_lock(site)
            assert needs_reauth(await send(relays[1], await preview(relays[1], provider.url)))
            resume(slow)
            assert needs_reauth(await sending)
            assert provider.sends == []
            assert await state(site) == ("needs_reauth", 1)
