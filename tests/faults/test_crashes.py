"""A killed gateway forgets nothing, and what it was sending is never sent again."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from stores.redis import names
from tests.support.embedded import alive, data_dir, server_pid, servers_on
from tests.support.gateways import Relay, client, gateway, gateway_process, until
from tests.support.held import held
from tests.support.target import Target
from tests.support.valkey import Valkey


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_dir() as opened:
        yield opened


def end_lease(valkey: Valkey, run_id: str, *, left_ms: int = 0) -> None:
    """End the lease, as time does on the server's clock."""
    with valkey.client() as redis:
        seconds, microseconds = redis.time()
        until = seconds * 1000 + microseconds // 1000 + left_ms
        assert redis.hset(names.run("default", run_id), "lease_until", until) == 0


async def run_in_flight(relay: Relay, key: str) -> str:
    early = await relay.execute("expired-or-invalid", key, wait=0)
    assert (early.status_code, early.json()["code"]) == (409, "run_in_progress")
    return str(early.json()["run_id"])


def is_interrupted(answer: httpx2.Response) -> bool:
    run = answer.json()
    fields = (answer.status_code, run["status"], run["result"], run["error"]["code"])
    return fields == (200, "unknown", None, "interrupted") and not run["error"]["safe_to_retry"]


@pytest.mark.parametrize("dies", ["gateway", "gateway and store"])
async def test_previews_and_runs_survive_a_crash(folder: Path, target: Target, dies: str) -> None:
    """After kill -9 and a start on the same data, the retry replays and the preview executes."""
    env = {"RELAY_DATA_DIR": str(folder)}
    with gateway_process(env) as doomed:
        async with client(doomed.url) as relay:
            first = await relay.execute(await relay.preview_id(target.url), "order-1")
            waiting = await relay.preview_id(target.url)
        doomed.kill()
        if dies == "gateway and store":
            os.kill(server_pid(folder), signal.SIGKILL)

    with gateway_process(env) as restarted:
        async with client(restarted.url) as relay:
            retry = await relay.execute("expired-or-invalid", "order-1")
            assert len(target.deliveries) == 1
            second = await relay.execute(waiting, "order-2")

    assert first.json()["status"] == "success"
    assert retry.headers["Idempotent-Replayed"] == "true"
    assert retry.json() == {**first.json(), "request_id": retry.json()["request_id"]}
    assert second.json()["status"] == "success"
    assert len(target.deliveries) == 2


def test_no_server_is_left_behind_by_a_crash(folder: Path) -> None:
    """The next start ends the orphan, and its own server ends with it."""
    env = {"RELAY_DATA_DIR": str(folder)}
    with gateway_process(env) as doomed:
        doomed.kill()
    orphan = server_pid(folder)
    assert alive(orphan)

    with gateway_process(env):
        assert not alive(orphan)
        ours = server_pid(folder)
        assert servers_on(folder) == [ours]

    assert not alive(ours)
    assert servers_on(folder) == []


async def test_a_run_whose_gateway_died_is_unknown(valkey: Valkey, target: Target) -> None:
    """In progress while its lease lasts, then interrupted for good. No gateway sends it again."""
    with gateway_process({"REDIS_URL": valkey.url}) as doomed:
        async with client(doomed.url) as relay:
            run = await held(relay, target, "order-1")
            doomed.kill()
            with pytest.raises(httpx2.TransportError):
                await run.end()

    async with gateway(valkey.url) as relay:
        run_id = await run_in_flight(relay, "order-1")
        end_lease(valkey, run_id)
        shown = await relay.get(f"/runs/{run_id}")
        retries = [await relay.execute("expired-or-invalid", "order-1") for _ in range(2)]
        other = await relay.execute(shown.json()["preview_id"], "order-2")

    for answer in (shown, *retries):
        assert is_interrupted(answer)
        assert answer.json() == {**shown.json(), "request_id": answer.json()["request_id"]}
    assert all(retry.headers["Idempotent-Replayed"] == "true" for retry in retries)
    assert (other.status_code, other.json()["code"]) == (409, "preview_already_executed")
    assert other.json()["run_id"] == run_id
    assert len(target.deliveries) == 1


async def test_a_waiter_for_a_dead_gateway_is_answered_when_the_lease_is_over(
    valkey: Valkey, target: Target
) -> None:
    """The end of such a run is never published: the waiter watches the lease."""
    with gateway_process({"REDIS_URL": valkey.url}) as doomed:
        async with client(doomed.url) as relay:
            run = await held(relay, target, "order-1")
            doomed.kill()
            with pytest.raises(httpx2.TransportError):
                await run.end()

    async with gateway(valkey.url) as relay:
        end_lease(valkey, await run_in_flight(relay, "order-1"), left_ms=300)
        async with asyncio.timeout(5):
            retry = await relay.execute("expired-or-invalid", "order-1", wait=30)

    assert is_interrupted(retry)
    assert retry.headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 1


async def test_an_answer_after_the_lease_is_refused(
    relay: Relay, valkey: Valkey, target: Target
) -> None:
    """The run stays unknown: the late caller gets the same answer as a retry."""
    run = await held(relay, target, "order-1")
    end_lease(valkey, await run_in_flight(relay, "order-1"))
    before = await relay.execute("expired-or-invalid", "order-1")

    late = await run.end()
    after = await relay.execute("expired-or-invalid", "order-1")

    for answer in (before, late, after):
        assert is_interrupted(answer)
        assert answer.json() == {**before.json(), "request_id": answer.json()["request_id"]}
    assert "Idempotent-Replayed" not in late.headers
    assert len(target.deliveries) == 1


@contextmanager
def full_backlog() -> Iterator[str]:
    """The URL of a server that accepts no more connections: clients wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as held:
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"


async def test_a_gateway_suspended_past_its_lease_releases_nothing(valkey: Valkey) -> None:
    """It was suspended while it connected. A retry elsewhere got `unknown`; so does its own caller,
    and every retry after it resumes.
    """
    env = {"REDIS_URL": valkey.url, "ACTION_TIMEOUT": "1"}
    with full_backlog() as url, gateway_process(env) as stopped:
        async with client(stopped.url) as relay, gateway(valkey.url) as other:
            preview_id = await relay.preview_id(url)
            sent = asyncio.create_task(relay.execute(preview_id, "order-1"))

            async def in_flight() -> bool:
                early = await other.execute("expired-or-invalid", "order-1", wait=0)
                return early.status_code == 409

            await until(in_flight)
            os.kill(stopped.process.pid, signal.SIGSTOP)
            end_lease(valkey, await run_in_flight(other, "order-1"))
            before = await other.execute("expired-or-invalid", "order-1")
            os.kill(stopped.process.pid, signal.SIGCONT)
            own = await sent
            after = await other.execute(preview_id, "order-1")

    for answer in (before, own, after):
        assert is_interrupted(answer), answer.text


def test_an_orphaned_server_does_not_hold_the_output_of_its_gateway(folder: Path) -> None:
    """`relay serve | tee log` ends when the gateway is killed."""
    with gateway_process({"RELAY_DATA_DIR": str(folder)}) as doomed:
        doomed.kill()
        orphan = server_pid(folder)
        try:
            doomed.process.communicate(timeout=5)
        finally:
            os.kill(orphan, signal.SIGKILL)
