"""Connections to Redis are reset, and the name of Redis moves to another server."""

import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stores.redis import names
from tests.support.gateways import Relay, client, gateway, gateway_process, until
from tests.support.held import held
from tests.support.passage import passage
from tests.support.target import Target
from tests.support.valkey import Valkey


async def test_reset_connections_lose_no_answer(valkey: Valkey, target: Target) -> None:
    """They are reset while a target works: the caller gets its run, a retry replays it, and
    refusals are still audited.
    """
    async with passage(valkey) as way:
        with gateway_process({"REDIS_URL": way.url}) as process:
            async with client(process.url) as relay:
                run = await held(relay, target, "order-1")
                way.reset()
                answer = await run.end()
                assert (answer.status_code, answer.json()["status"]) == (200, "success")
                replay = await relay.execute("gone", "order-1")
                assert replay.headers["Idempotent-Replayed"] == "true"

                for number in range(2):
                    way.reset()
                    await refuse(relay, valkey, f"http://10.0.0.{number}/")
    assert len(target.deliveries) == 1


async def refuse(relay: Relay, valkey: Valkey, url: str) -> None:
    """Request a forbidden target, and wait until the journal has written the refusal."""
    before = recorded(valkey)
    assert (await relay.preview(url)).status_code == 422

    async def written() -> bool:
        return recorded(valkey) > before

    await until(written)


def recorded(valkey: Valkey) -> int:
    """How many refusals were ever written to the outbox."""
    with valkey.client() as redis:
        if not redis.exists(names.outbox("default")):
            return 0
        return int(redis.xinfo_stream(names.outbox("default"))["entries-added"])


@pytest.fixture
def pair() -> Iterator[tuple[Valkey, Valkey]]:
    """A primary and its replica, connected by TCP."""
    with (
        TemporaryDirectory(prefix="relay-test-") as one,
        TemporaryDirectory(prefix="relay-test-") as other,
    ):
        primary = Valkey(Path(one), "--repl-diskless-sync-delay", "0")
        replica = Valkey(Path(other))
        for server in (primary, replica):
            server.start()
        with primary.client() as redis:
            redis.config_set("port", port := free_port())
        with replica.client() as redis:
            redis.replicaof("127.0.0.1", port)
        yield primary, replica
        for server in (primary, replica):
            server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def in_step(replica: Valkey) -> None:
    async def linked() -> bool:
        with replica.client() as redis:
            return bool(redis.info("replication").get("master_link_status") == "up")

    await until(linked)


async def test_calls_follow_the_name_after_a_planned_failover(
    pair: tuple[Valkey, Valkey], target: Target
) -> None:
    """The old primary becomes a replica and closes no connection. The first call succeeds."""
    primary, replica = pair
    await in_step(replica)
    async with passage(primary) as name, gateway(name.url) as relay:
        first = await relay.execute(await relay.preview_id(target.url), "order-1")
        preview_id = await relay.preview_id(target.url)
        await switch(primary, replica)
        name.valkey = replica

        second = await relay.execute(preview_id, "order-2")
        assert (second.status_code, second.json()["status"]) == (200, "success")
        retry = await relay.execute("gone", "order-1")
        assert retry.json()["run_id"] == first.json()["run_id"]
        assert (await relay.get("/ready")).status_code == 200
    assert len(target.deliveries) == 2


async def switch(primary: Valkey, replica: Valkey) -> None:
    """Promote the replica once it has all data, and make the primary follow it."""
    with primary.client() as old, replica.client() as new:
        assert old.wait(1, 5000) == 1
        new.replicaof("NO", "ONE")
        new.config_set("port", port := free_port())
        old.replicaof("127.0.0.1", port)


async def test_a_replica_is_not_ready(pair: tuple[Valkey, Valkey], target: Target) -> None:
    """While the name still resolves to the old primary, /ready fails and calls get 503."""
    primary, replica = pair
    await in_step(replica)
    async with passage(primary) as name, gateway(name.url) as relay:
        preview_id = await relay.preview_id(target.url)
        await switch(primary, replica)

        async def refused() -> bool:
            ready = await relay.get("/ready")
            return ready.status_code == 503 and "not a primary" in ready.text

        await until(refused)
        answer = await relay.execute(preview_id, "order-1")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")

        name.valkey = replica
        again = await relay.execute(preview_id, "order-1")
        assert again.status_code == 200

        async def ready() -> bool:
            return (await relay.get("/ready")).status_code == 200

        await until(ready)
    assert len(target.deliveries) == 1
