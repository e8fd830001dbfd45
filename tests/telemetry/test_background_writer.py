"""Log lines are written in the background; a slow or missing reader stops nothing."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from prometheus_client import REGISTRY

from gateway.telemetry.logs import BackgroundWriter
from tests.bench.processes import free_port
from tests.support.gateways import client, until
from tests.support.valkey import Valkey

SERVE = [sys.executable, "-m", "gateway", "serve", "--port", "0"]


def test_a_closed_stderr_only_loses_lines() -> None:
    """The program goes on."""
    script = (
        "import sys, logging; from gateway.telemetry import logs; "
        "logs.configure(lines=True); sys.stderr.close(); "
        "logs.log_event(logging.getLogger('relay.x'), 'a.b', {}); print('went on')"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=-1, text=True, check=True)
    assert done.stdout == "went on\n"


@contextlib.contextmanager
def running_gateway(
    command: list[str], valkey: Valkey, **streams: Any
) -> Iterator[subprocess.Popen[str]]:
    """A gateway, which is terminated even if the test fails."""
    env = {**os.environ, "REDIS_URL": valkey.url, "STOP_DELAY": "0"}
    with (
        TemporaryDirectory(prefix="relay-test-") as folder,
        subprocess.Popen(
            command, text=True, env={**env, "RELAY_DATA_DIR": folder}, **streams
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def test_a_gateway_starts_without_stderr(valkey: Valkey) -> None:
    """`2>&-` loses the log, and nothing else."""
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *SERVE]
    with running_gateway(command, valkey, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("Relay listens on ")


def test_a_full_pipe_blocks_no_caller() -> None:
    """Lines above the bound are dropped and counted, and the writer closes in time."""
    reading, writing = os.pipe()
    before = REGISTRY.get_sample_value("relay_log_lines_dropped_total") or 0.0
    with os.fdopen(writing, "w") as stream:
        writer = BackgroundWriter(stream, room=100)
        writer.setFormatter(logging.Formatter("%(message)s"))
        started = time.monotonic()
        for _ in range(5_000):
            writer.handle(logging.makeLogRecord({"msg": "x" * 1000}))
        writer.close()
        took = time.monotonic() - started
        assert REGISTRY.get_sample_value("relay_log_lines_dropped_total") - before > 4_000  # type: ignore[operator]
        assert took < 3
        os.close(reading)  # the thread gets its error, and ends
        writer._thread.join(5)
        assert not writer._thread.is_alive()
        with contextlib.suppress(BrokenPipeError):
            stream.close()


async def test_a_gateway_logs_to_stderr(valkey: Valkey) -> None:
    """It logs while it serves and until it has stopped; stdout is for people."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running_gateway(SERVE, valkey, **piped) as process:
        assert process.stdout
        assert process.stderr
        async with client(process.stdout.readline().split()[3]) as relay:
            answer = await relay.get("/version")
        started, line = [
            json.loads(await asyncio.to_thread(process.stderr.readline)) for _ in range(2)
        ]
        assert started["event"] == "keys.empty"
        assert (line["event"], line["endpoint"]) == ("http.request", "/version")
        assert line["request_id"] == answer.headers["X-Request-ID"]
        async with client(str(answer.url.join("/"))) as relay:
            last = await relay.get("/nowhere")
        process.terminate()
        rest = await asyncio.to_thread(process.stderr.read)
        assert last.headers["X-Request-ID"] in rest


async def test_a_gateway_of_another_server_logs_too(valkey: Valkey) -> None:
    """`uvicorn --factory gateway.app:from_env` writes canonical lines too."""
    port = free_port()
    served = "-m uvicorn --factory gateway.app:from_env --port".split()
    command = [sys.executable, *served, str(port)]
    with running_gateway(command, valkey, stderr=subprocess.PIPE) as process:
        async with client(f"http://127.0.0.1:{port}") as relay:

            async def answers() -> bool:
                try:
                    return (await relay.get("/version")).status_code == 200
                except httpx2.ConnectError:
                    return False

            await until(answers)
        process.terminate()
        assert process.stderr
        said = [line for line in process.stderr if "http.request" in line]
    assert json.loads(said[-1])["endpoint"] == "/version"
