"""An access token is refreshed once for all callers, and a refresh that fails changes nothing
unless the provider has ended the grant.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from gateway.connections.grants import Kept, seal_kept
from stores.redis import names
from stores.redis.client import Store
from stores.sql import connections
from stores.sql.database import Database
from tests.support.identity_provider import identifying
from tests.support.oauth import SEALER, connected, refusal, replica, stored, token
from tests.support.services import audited
from tests.support.valkey import Valkey


async def test_a_token_comes_once_and_stays(
    store: Store, database: Database, valkey: Valkey
) -> None:
    """The second send finds it in Redis, sealed, until 300 s before it ends."""
    async with identifying() as provider, replica(store, database, provider) as tokens:
        row = await connected(database, provider)
        first = await token(tokens, row)
        assert await token(tokens, row) == first
        assert provider.refreshes == 1
        assert provider.access_tokens.keys() == {first}
        with valkey.client() as redis:
            key = names.access_token("default", row.id)
            assert 3295_000 < redis.pttl(key) <= 3300_000
            assert first.encode() not in (redis.get(key) or b"")
            assert not redis.exists(names.refreshing("default", row.id))
    found = (await stored(database, row)).row
    assert (found.version, found.state, bool(found.refreshed_at)) == (1, "active", True)


@pytest.mark.parametrize("rotation", ["none", "lenient", "strict"])
async def test_replicas_refresh_once(rotation: str, store: Store, database: Database) -> None:
    """Eight of them, three sends each; the refresh after it works too."""
    async with identifying(rotation=rotation) as provider, AsyncExitStack() as stack:  # type: ignore[arg-type]
        row = await connected(database, provider)
        replicas = [
            await stack.enter_async_context(replica(store, database, provider)) for _ in range(8)
        ]
        came = await asyncio.gather(*(token(one, row) for one in replicas * 3))
        assert len({*came}) == 1
        assert provider.refreshes == 1
        await replicas[0].forget(row)
        assert await token(replicas[3], row) not in came
        assert provider.ended == set()
    assert (await stored(database, row)).row.version == (1 if rotation == "none" else 3)


async def test_a_slow_provider_is_waited_for(store: Store, database: Database) -> None:
    """The others look for the token of the one that asks; one whose deadline is over sends
    nothing, and spoils nothing.
    """
    async with identifying(rotation="strict") as provider, AsyncExitStack() as stack:
        row = await connected(database, provider)
        slow, other = [
            await stack.enter_async_context(replica(store, database, provider)) for _ in range(2)
        ]
        provider.gate.clear()
        first = asyncio.create_task(token(slow, row))
        await provider.arrived.wait()
        late = await refusal(slow, row, 0.05)
        assert (late.reason, late.tried) == ("connection_unavailable", False)
        second = asyncio.create_task(token(other, row))
        assert (await refusal(other, row, 0.05)).reason == "connection_unavailable"
        provider.gate.set()
        assert await first == await second
        assert provider.refreshes == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, {"error": "invalid_grant"}),
        (400, {"error": "invalid_grant", "error_codes": [50173]}),
        (400, {"error": "interaction_required", "error_codes": [50076]}),
        (200, {"error": "bad_refresh_token"}),
        (200, {"ok": False, "error": "token_revoked"}),
    ],
)
async def test_a_grant_that_has_ended_needs_its_owner(
    status: int, said: dict[str, object], store: Store, database: Database
) -> None:
    """The row stays, with its state, and the audit has it; the provider is asked once."""
    async with identifying() as provider, replica(store, database, provider) as tokens:
        row = await connected(database, provider)
        provider.errors = [(status, said)]
        refused = await refusal(tokens, row)
        assert refused.reason == "connection_needs_reauth"
        assert "ann@x.example has to be connected again" in refused.detail
        # A gateway that has not read the new state yet finds it.
        assert (await refusal(tokens, row)).reason == "connection_needs_reauth"
        assert provider.refreshes == 1
    found = (await stored(database, row)).row
    assert (found.state, found.version) == ("needs_reauth", 1)
    [entry] = [it for it in await audited(database) if it.event == "connection.needs_reauth"]
    assert (entry.subject, entry.principal) == (row.id, "relay")


async def test_a_token_that_was_replaced_meanwhile_ends_nothing(
    store: Store, database: Database
) -> None:
    """`invalid_grant` for the token of yesterday: the row has moved, and its new token is used."""
    async with identifying() as provider, replica(store, database, provider) as tokens:
        row = await connected(database, provider)
        provider.errors = [(400, {"error": "invalid_grant"})]
        provider.before.clear()
        asking = asyncio.create_task(token(tokens, row))
        await provider.arrived.wait()
        newer = seal_kept(SEALER, Kept("refresh", provider.refresh_token()), row, version=2)
        async with database.begin() as connection:
            assert await connections.rotate(connection, row.id, newer, seen=1, now_ms=5)
        provider.before.set()
        assert await asking in provider.access_tokens
        assert [form["refresh_token"] for form in provider.forms][1] in provider.refresh_tokens
    assert (await stored(database, row)).row.state == "active"


async def test_a_wrong_client_secret_is_ours(store: Store, database: Database) -> None:
    """No connection changes; /ready says it until the provider accepts the registration."""
    async with identifying() as provider, replica(store, database, provider) as tokens:
        row = await connected(database, provider)
        provider.client_secret = "another"
        refused = await refusal(tokens, row)
        assert refused.reason == "connection_unavailable"
        assert tokens.check().verdict == "warning"
        assert "google" in tokens.check().detail
        assert (await stored(database, row)).row == row
        provider.client_secret = "client-secret-canary"
        await token(tokens, row)
        assert tokens.check().verdict == "ok"


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_what_may_be_passing_is_tried_once_more(
    status: int, store: Store, database: Database
) -> None:
    """Two such answers, and nothing is sent; the state stays."""
    passing = (status, {"error": "temporarily_unavailable"})
    async with identifying(rotation="lenient") as provider:
        row = await connected(database, provider)
        async with replica(store, database, provider) as tokens:
            provider.errors = [passing]
            await token(tokens, row)
            assert provider.refreshes == 2
            await tokens.forget(row)
            provider.errors = [passing, (status, {})]
            assert (await refusal(tokens, row)).reason == "connection_unavailable"
            assert provider.refreshes == 4
            assert provider.errors == []
    assert (await stored(database, row)).row.state == "active"


async def test_a_lasting_token_is_not_refreshed(store: Store, database: Database) -> None:
    """Slack's and GitHub's do not expire: the row has it."""
    async with identifying("github") as provider, replica(store, database, provider) as tokens:
        row = await connected(database, provider, Kept("lasting", "gho_1"))
        assert await token(tokens, row) == "gho_1"
        assert provider.forms == []


async def test_a_refused_token_is_dropped(store: Store, database: Database) -> None:
    """A 401 of the provider: the next send refreshes. A newer token stays."""
    async with identifying() as provider, AsyncExitStack() as stack:
        row = await connected(database, provider)
        one, two = [
            await stack.enter_async_context(replica(store, database, provider)) for _ in range(2)
        ]
        first = await token(one, row)
        assert await token(two, row) == first
        one.drop(row)
        await asyncio.gather(*one._dropping)
        second = await token(one, row)
        assert second != first
        two.drop(row)
        await asyncio.gather(*two._dropping)
        assert await token(two, row) == second
        assert provider.refreshes == 2


async def test_without_the_lock_the_grant_ends(store: Store, database: Database) -> None:
    """A control: two replicas whose right to refresh ends at once show the same refresh token."""
    async with identifying(rotation="strict") as provider, AsyncExitStack() as stack:
        row = await connected(database, provider)
        no_lock = timedelta(milliseconds=1)
        one, two = [
            await stack.enter_async_context(replica(store, database, provider, no_lock))
            for _ in range(2)
        ]
        provider.before.clear()
        first = asyncio.create_task(one.access_token(row, deadline=time.monotonic() + 15))
        await provider.arrived.wait()
        provider.arrived.clear()
        second = asyncio.create_task(two.access_token(row, deadline=time.monotonic() + 15))
        await provider.arrived.wait()
        provider.before.set()
        await asyncio.gather(first, second)
        assert provider.refreshes >= 2
        assert len(provider.ended) == 1
