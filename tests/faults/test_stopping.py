"""A gateway that stops finishes what it has started, and leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx2
import pytest
from redis import Redis

from tests.support.embedded import alive, data_dir, server_pid, servers_on
from tests.support.gateways import GatewayProcess, client, gateway, gateway_process, until
from tests.support.held import held
from tests.support.target import Target
from tests.support.valkey import Valkey


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_dir() as opened:
        yield opened


@contextmanager
def from_a_shell(folder: Path) -> Iterator[GatewayProcess]:
    """A gateway in its own process group, which can get a Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--port", "0"],
        env={**os.environ, "EGRESS_ALLOW": "127.0.0.0/8", "RELAY_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        yield GatewayProcess(process, process.stdout.readline().split()[3])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


async def refuses(url: str) -> None:
    """Wait until the gateway accepts no new connection."""
    address = urlsplit(url)

    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection(address.hostname, address.port)
        except OSError:
            return True
        writer.close()
        return False

    await until(refused)


async def serves_on(folder: Path) -> None:
    """Wait until the store has outlived a signal; it acts on one within a tenth of a second."""
    with Redis(unix_socket_path=str(folder / "valkey" / "valkey.sock"), socket_timeout=5) as store:
        signalled = monotonic()

        async def outlived() -> bool:
            return bool(store.ping()) and monotonic() - signalled > 0.5

        await until(outlived)


async def ended(process: GatewayProcess) -> int:
    return await asyncio.to_thread(process.process.wait, 20)


async def test_a_stopping_gateway_serves_on_but_is_not_ready(
    valkey: Valkey, target: Target
) -> None:
    """For STOP_DELAY seconds load balancers move to other gateways, and no request is refused."""
    with gateway_process({"REDIS_URL": valkey.url, "STOP_DELAY": "1"}) as stopping:
        async with client(stopping.url) as relay:
            assert (await relay.get("/ready")).status_code == 200
            stopping.process.terminate()

            async def not_ready() -> bool:
                return (await relay.get("/ready")).status_code == 503

            await until(not_ready)
            verdicts = {
                check["name"]: check["verdict"]
                for check in (await relay.get("/ready")).json()["checks"]
            }
            run = await relay.execute(await relay.preview_id(target.url), "order-1")
        await ended(stopping)

    assert verdicts.pop("process") == "failed"
    assert set(verdicts.values()) == {"ok"}
    assert run.json()["status"] == "success"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("caller", ["stays", "goes away"])
async def test_a_run_in_flight_is_finished_and_stored(
    valkey: Valkey, target: Target, caller: str, number: signal.Signals
) -> None:
    """Whether or not a caller waits for its answer; also when the terminal has gone."""
    with gateway_process({"REDIS_URL": valkey.url}) as stopping:
        async with client(stopping.url) as relay:
            run = await held(relay, target, "order-1")
            if caller == "goes away":
                run.answer.cancel()
                await asyncio.wait({run.answer})
            stopping.process.send_signal(number)
            await refuses(stopping.url)
            await asyncio.wait({run.answer}, timeout=0.4)  # long enough to be cut off
            assert stopping.process.poll() is None
            run.gate.open.set()
            if caller == "stays":
                assert (await run.end()).json()["status"] == "success"
        await ended(stopping)

    async with gateway(valkey.url) as relay:
        retry = await relay.execute("expired-or-invalid", "order-1", wait=0)
    assert (retry.status_code, retry.json()["status"]) == (200, "success")
    assert len(target.deliveries) == 1


async def test_the_embedded_server_stops_with_its_gateway(folder: Path) -> None:
    """After SIGTERM neither the server nor the owner of its socket is left."""
    with gateway_process({"RELAY_DATA_DIR": str(folder)}) as stopping:
        server = server_pid(folder)
        assert alive(server)
        stopping.process.terminate()
        await ended(stopping)

    assert not alive(server)
    assert servers_on(folder) == []


async def test_ctrl_c_lets_the_run_be_stored(folder: Path, target: Target) -> None:
    """The signal goes to the whole group. The store outlives the run, then both end."""
    with from_a_shell(folder) as stopping:
        async with client(stopping.url) as relay:
            run = await held(relay, target, "order-1")
            os.killpg(stopping.process.pid, signal.SIGINT)
            await refuses(stopping.url)
            await serves_on(folder)
            answer = await run.end()
        await ended(stopping)
    assert answer.json()["status"] == "success"
    assert servers_on(folder) == []

    with gateway_process({"RELAY_DATA_DIR": str(folder)}) as restarted:
        async with client(restarted.url) as relay:
            retry = await relay.execute("expired-or-invalid", "order-1")
    assert retry.headers["Idempotent-Replayed"] == "true"
    assert retry.json() == {**answer.json(), "request_id": retry.json()["request_id"]}
    assert len(target.deliveries) == 1


async def test_the_embedded_server_is_started_again(folder: Path, target: Target) -> None:
    """After kill -9 executes go on, with the previews and runs of before; nothing is sent twice."""
    with gateway_process({"RELAY_DATA_DIR": str(folder)}) as process:
        async with client(process.url) as relay:
            first = (await relay.execute(await relay.preview_id(target.url), "order-1")).json()
            preview_id = await relay.preview_id(target.url)
            os.kill(server_pid(folder), signal.SIGKILL)

            async def executed() -> bool:
                answer = await relay.execute(preview_id, "order-2")
                return answer.status_code == 200 and answer.json()["status"] == "success"

            await until(executed)
            replay = await relay.execute(first["preview_id"], "order-1")
    assert replay.json()["run_id"] == first["run_id"]
    assert len(target.deliveries) == 2


async def test_a_second_sigterm_changes_nothing(valkey: Valkey, target: Target) -> None:
    """An impatient supervisor does not cut off the run in flight."""
    with gateway_process({"REDIS_URL": valkey.url}) as stopping:
        async with client(stopping.url) as relay:
            run = await held(relay, target, "order-1")
            stopping.process.terminate()
            await refuses(stopping.url)
            stopping.process.terminate()
            answer: httpx2.Response = await run.end()
        await ended(stopping)

    assert answer.json()["status"] == "success"
