"""Waiting for a run that another process ends needs no polling and misses no ending."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from stores.redis import names
from stores.redis.client import Store, open_store
from stores.redis.previews import NewPreview, Previews
from stores.redis.reservations import Reservation
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable
from tests.support.clocks import timed
from tests.support.gateways import until
from tests.support.valkey import Valkey

LEASE = timedelta(seconds=20)


@pytest.fixture
async def elsewhere(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Runs]:
    """The runs of another process: run-1 and run-2 are in flight."""
    async with open_store(valkey.url, tmp_path) as store:
        runs = Runs(store.scripts)
        for n in (1, 2):
            await Previews(store.scripts).save("w", NewPreview(f"p-{n}", b"doc", b"{}"))
            await runs.reserve(reservation(n), lease=LEASE)
        yield runs


def reservation(n: int) -> Reservation:
    return Reservation("w", f"order-{n}", f"p-{n}", f"run-{n}")


def subscriptions(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.pubsub_numpat()) + len(client.pubsub_channels())


def listeners(valkey: Valkey) -> int:
    with valkey.client() as client:
        return len(client.client_list(_type="pubsub"))


async def woken(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


async def test_waiting_starts_with_a_confirmed_subscription(store: Store, valkey: Valkey) -> None:
    """Inside the block the server knows the subscriber, so that no ending is missed."""
    async with store.run_endings.wait_for("w", "run-1") as ended:
        assert subscriptions(valkey) == 1
        assert not ended.is_set()


@pytest.mark.parametrize("ends", ["settle", "release"])
async def test_the_end_of_a_run_wakes_its_waiter(store: Store, elsewhere: Runs, ends: str) -> None:
    """If another client settles or releases it. Waiters of other runs sleep on."""
    async with (
        store.run_endings.wait_for("w", "run-1") as ended,
        store.run_endings.wait_for("w", "run-2") as other,
    ):
        if ends == "settle":
            await elsewhere.settle(reservation(1), state="success", doc=b"answer")
        else:
            await elsewhere.release(reservation(1))
        await woken(ended)
        assert not other.is_set()
        await elsewhere.settle(reservation(2), state="success", doc=b"answer")
        await woken(other)


@pytest.mark.parametrize("workspace", ["w*", "{w}", "w:changed", "ß w", "*", "[w]"])
async def test_an_ending_wakes_its_own_workspace_only(
    store: Store, valkey: Valkey, workspace: str
) -> None:
    """Names with the characters of patterns and keys reach no other workspace."""
    async with (
        store.run_endings.wait_for(workspace, "run-1") as ended,
        store.run_endings.wait_for("w", "run-1") as other,
    ):
        with valkey.client() as client:
            client.publish(names.changed(workspace, "run-1"), "success")
        await woken(ended)
        assert not other.is_set()


async def test_many_waiters_share_one_subscription(
    store: Store, elsewhere: Runs, valkey: Valkey
) -> None:
    """Ten that wait for two runs share a connection, and each is woken."""
    async with AsyncExitStack() as stack:
        watched = [store.run_endings.wait_for("w", f"run-{n % 2 + 1}") for n in range(10)]
        events = await asyncio.gather(*(stack.enter_async_context(it) for it in watched))
        assert listeners(valkey) == 1
        assert subscriptions(valkey) == 1
        for n in (1, 2):
            await elsewhere.settle(reservation(n), state="success", doc=b"answer")
        for event in events:
            await woken(event)


async def test_a_waiter_that_leaves_leaves_the_others_waiting(
    store: Store, elsewhere: Runs
) -> None:
    """The subscription ends with the last waiter, not with the first."""
    async with store.run_endings.wait_for("w", "run-1") as stays:
        async with store.run_endings.wait_for("w", "run-1"):
            pass
        await store.client.ping()
        await elsewhere.settle(reservation(1), state="success", doc=b"answer")
        await woken(stays)


async def test_unused_subscriptions_end(store: Store, valkey: Valkey) -> None:
    """A run can be waited for again afterwards."""

    async def none_left() -> bool:
        return subscriptions(valkey) == 0

    for _ in range(2):
        async with (
            store.run_endings.wait_for("w", "run-1"),
            store.run_endings.wait_for("w", "run-2"),
        ):
            assert subscriptions(valkey) == 1
        await until(none_left)


async def test_waiting_again_and_again_misses_no_ending(store: Store, valkey: Valkey) -> None:
    """Each of 200 waits in a row, for changing runs, is confirmed and woken."""
    with valkey.client() as client:
        for n in range(200):
            run_id = f"run-{n % 3}"
            async with store.run_endings.wait_for("w", run_id) as ended:
                client.publish(names.changed("w", run_id), "success")
                await woken(ended)


async def test_a_lost_connection_wakes_all_waiters(store: Store, valkey: Valkey) -> None:
    """Endings may have been missed: each waiter wakes to read its run again."""
    async with (
        store.run_endings.wait_for("w", "run-1") as one,
        store.run_endings.wait_for("w", "run-2") as other,
    ):
        with valkey.client() as client:
            assert client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        await woken(one)
        await woken(other)


async def test_waiting_works_after_a_lost_connection(
    store: Store, elsewhere: Runs, valkey: Valkey
) -> None:
    """A wait that starts after the loss is woken by its run's end."""
    async with store.run_endings.wait_for("w", "run-1") as ended:
        with valkey.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await woken(ended)
    async with store.run_endings.wait_for("w", "run-2") as ended:
        assert not ended.is_set()
        await elsewhere.settle(reservation(2), state="success", doc=b"answer")
        await woken(ended)


@pytest.mark.parametrize("away", ["stop", "pause"])
async def test_waiting_without_the_server_is_refused(
    own_valkey: Valkey, tmp_path: Path, away: str
) -> None:
    """RedisUnavailable in under 2 s, for the first waiter and the next. It works once the server is
    back.
    """
    async with open_store(own_valkey.url, tmp_path) as store:
        async with store.run_endings.wait_for("w", "run-1"):
            pass
        getattr(own_valkey, away)()
        waits = [*(refused(store, "run-1") for _ in range(3)), refused(store, "run-2")]
        failures, seconds = await timed(asyncio.gather(*waits))
        assert seconds < 2
        assert failures == [True] * 4

        own_valkey.resume() if away == "pause" else own_valkey.start()
        async with store.run_endings.wait_for("w", "run-1") as ended:
            await store.client.publish(names.changed("w", "run-1"), "success")
            await woken(ended)


async def refused(store: Store, run_id: str) -> bool:
    """Whether waiting was refused."""
    try:
        async with store.run_endings.wait_for("w", run_id):
            return False
    except RedisUnavailable:
        return True


async def test_a_stopped_server_wakes_its_waiters(own_valkey: Valkey, tmp_path: Path) -> None:
    """They read their runs again. Once the server is back, new waits work."""
    async with open_store(own_valkey.url, tmp_path) as store:
        async with store.run_endings.wait_for("w", "run-1") as ended:
            own_valkey.stop()
            await woken(ended)
            own_valkey.start()
            async with store.run_endings.wait_for("w", "run-2") as other:
                assert not other.is_set()
        async with store.run_endings.wait_for("w", "run-2"):
            assert subscriptions(own_valkey) == 1


async def test_a_cancelled_waiter_harms_no_other(store: Store, elsewhere: Runs) -> None:
    """A waiter cancelled before the confirmation does not end the subscription of others."""
    for turns in range(8):
        leaver = asyncio.create_task(refused(store, "run-1"))
        for _ in range(turns % 4):
            await asyncio.sleep(0)
        wait_for = store.run_endings.wait_for("w", "run-1")
        entering = asyncio.create_task(wait_for.__aenter__())
        await asyncio.sleep(0)
        leaver.cancel()
        ended = await entering
        assert not ended.is_set()
        await wait_for.__aexit__(None, None, None)
        await asyncio.wait({leaver})


async def test_closing_ends_the_listener(valkey: Valkey, tmp_path: Path) -> None:
    """A store that closes during a wait leaves no connection."""
    async with open_store(valkey.url, tmp_path) as store, store.run_endings.wait_for("w", "run-1"):
        assert listeners(valkey) == 1

    async def none_left() -> bool:
        return listeners(valkey) == 0

    await until(none_left)
