"""That Redis serves, not only that it answers: role, a write, a subscription, memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from stores.redis.client import Store, open_store
from stores.redis.previews import NewPreview, Previews
from stores.redis.reservations import Reservation
from stores.redis.run_endings import RunEndings
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable, Scripts
from stores.redis.server.health import Check, configuration
from tests.support.proxy import proxy
from tests.support.reservations import LEASE
from tests.support.tcp import redis_command, tcp_server
from tests.support.valkey import Valkey

WELL: dict[str, Any] = {"maxmemory_policy": "noeviction", "aof_enabled": 1}


@pytest.fixture
async def own_store(own_valkey: Valkey, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(own_valkey.url, tmp_path) as opened:
        yield opened


async def failing(store: Store) -> dict[str, Check]:
    return {it.name: it for it in await store.check(strict=False) if it.verdict != "ok"}


async def test_a_full_server_fails_the_write(own_store: Store) -> None:
    """And nearly full it warns before."""
    await own_store.client.set("data", b"x" * 20_000_000, ex=60)
    while (used := (await own_store.client.info("memory"))["used_memory"]) > 30_000_000:
        await asyncio.sleep(0.01)  # until the server has freed the buffer of the request
    await own_store.client.config_set("maxmemory", int(used * 1.08))
    assert set(await failing(own_store)) == {"memory"}
    await own_store.client.config_set("maxmemory", 1)
    found = await failing(own_store)
    assert found["writes"].detail == "Redis answers OOM."
    assert found["writes"].verdict == "failed"


async def test_a_user_without_channels_is_reported(own_valkey: Valkey, tmp_path: Path) -> None:
    """Redis 7 gives a new user none, and waiting duplicates would get 503."""
    with own_valkey.client() as admin:
        admin.acl_setuser(
            "relay", enabled=True, nopass=True, commands=["+@all"], keys=["*"], reset_channels=True
        )
    async with proxy(own_valkey.socket) as between:
        url = f"redis://relay:x@127.0.0.1:{between.port}"
        async with open_store(url, tmp_path) as store:
            found = await failing(store)
    assert found["subscription"].verdict == "failed"
    assert "&relay:*" in found["subscription"].detail


@pytest.mark.parametrize(
    ("info", "seconds", "jump", "bad"),
    [
        ({}, 0, 0.0, {}),
        ({"maxmemory": 100, "used_memory": 90}, 0, 0.0, {}),
        ({"maxmemory": 100, "used_memory": 91}, 0, 0.0, {"memory": "warning"}),
        ({"aof_last_write_status": "err"}, 0, 0.0, {"persistence": "failed"}),
        ({"aof_enabled": 0}, 0, 0.0, {"persistence": "warning"}),
        ({}, 60, 0.0, {"clock": "warning"}),
        ({}, 0, 9.0, {"clock": "warning"}),
    ],
)
def test_the_configuration_is_judged(
    info: dict[str, Any], seconds: int, jump: float, bad: dict[str, str]
) -> None:
    """A disk that is full fails in development too: the server refuses every write."""
    checks = configuration(WELL | info, int(time.time()) + seconds, jump, strict=False)
    assert {it.name: it.verdict for it in checks if it.verdict != "ok"} == bad


async def test_no_script_reads_on_a_replica(own_valkey: Valkey) -> None:
    """Its data may be old: `find`, `inspect` and the replay of `reserve` are refused there."""
    async with Redis(unix_socket_path=str(own_valkey.socket)) as client:
        scripts = Scripts(client, patience=0.4)
        await Previews(scripts).save("w", NewPreview("p-1", b"{}", b"{}"))
        await Runs(scripts).reserve(Reservation("w", "k", "p-1", "r-1"), lease=LEASE)
        await client.replicaof("127.0.0.1", "1")
        for call in (
            Previews(scripts).find("w", "p-1"),
            Runs(scripts).inspect("w", "r-1"),
            Runs(scripts).reserve(Reservation("w", "k", "p-1", "r-2"), lease=LEASE),
        ):
            with pytest.raises(RedisUnavailable) as raised:
                await call
            assert raised.value.sentence == "Redis answers READONLY."
        await scripts.close()


async def test_a_deaf_subscription_is_noticed() -> None:
    """A connection that answers no PING ends; requests that wait read their runs again."""

    async def subscribed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await redis_command(reader):
            if words[0] == b"PSUBSCRIBE":
                writer.write(b"*3\r\n$10\r\npsubscribe\r\n$15\r\nrelay:*:changed\r\n:1\r\n")
            elif words[0] != b"PING":
                writer.write(b"+OK\r\n")

    async with tcp_server(subscribed) as port:
        client = Redis(port=port, protocol=2, socket_timeout=5)
        run_endings = RunEndings(client, silence=0.1)
        async with run_endings.wait_for("w", "r-1") as ended:
            async with asyncio.timeout(5):
                await ended.wait()
        await run_endings.close()
        await client.aclose()


async def test_a_quiet_subscription_is_kept(own_store: Store, own_valkey: Valkey) -> None:
    """The server answers the PINGs: no waiting request is woken for nothing."""
    run_endings = RunEndings(own_store.client, silence=0.05)
    async with run_endings.wait_for("w", "r-1") as ended:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await ended.wait()
    await run_endings.close()
