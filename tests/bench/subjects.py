"""What is measured, side by side: each with a store and a data folder of its own.

Were the store shared, the first gateway would ship the audit of all.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.bench.processes import Process, free_port, started
from tests.support.valkey import Valkey

ROOT = Path(__file__).parent.parent.parent
# A batch of spans leaves after this time at the latest; a measurement waits for it.
SPAN_DELAY_MS = 250
# The receiver, without anything between.
DIRECT = "direct"


class Subject(NamedTuple):
    """`replay_path`: where it answers for a key that it knows. `api_key`: of its clients.
    `send_path`: where a peer takes what it shall send, without a preview. `tools`: it is asked by
    calls of tools, over MCP.
    """

    name: str
    port: int
    process: Process
    store: Valkey | None = None
    replay_path: str = "/actions/execute"
    api_key: str = ""
    send_path: str = ""
    tools: bool = False


class Rig(NamedTuple):
    """Where subjects run. `cores`: those of the measured process; the rest has the other one."""

    stack: ExitStack
    folder: Path
    sink: int
    cores: set[int]


class Tree(NamedTuple):
    """A checkout of Relay with the Python of its own environment."""

    folder: Path = ROOT
    python: str = sys.executable


# Telemetry, limits, keys and audit: what a production gateway has.
EVERYTHING: Mapping[str, str] = {
    "RATE_LIMIT_PREVIEW": "1000000",
    "RATE_LIMIT_EXECUTE": "1000000",
    "RUNS_AT_ONCE": "100000",
    "RUNS_AT_ONCE_PER_TARGET": "100000",
    "EGRESS_ALLOW": "127.0.0.1",
    "ACTIONS_SIGNING_SECRET": "bench",
    "STOP_DELAY": "0",
    "GRAFANA_URL": "http://127.0.0.1:3000",
    "OTEL_TRACES_SAMPLER": "always_on",
    "OTEL_BSP_SCHEDULE_DELAY": str(SPAN_DELAY_MS),
    # A burst of the load fits: a span that is dropped would cost nothing.
    "OTEL_BSP_MAX_QUEUE_SIZE": "32768",
}
LEAN: Mapping[str, str] = {"EGRESS_ALLOW": "127.0.0.1", "TELEMETRY_BACKEND": "none"}


def relay(rig: Rig, name: str = "relay", tree: Tree | None = None) -> Subject:
    """A gateway with everything on: a key, limits, audit, metrics, traces and JSON lines."""
    tree = tree or Tree()
    data = {"RELAY_DATA_DIR": str(rig.folder / name)}
    api_key = _made_key(tree, data)
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{rig.sink}"}
    subject = _gateway(rig, name, tree, {**EVERYTHING, **endpoint, **data})
    return subject._replace(api_key=api_key)


def lean(rig: Rig) -> Subject:
    """A gateway without keys, metrics or traces."""
    return _gateway(rig, "lean", Tree(), {**LEAN, "RELAY_DATA_DIR": str(rig.folder / "lean")})


def floor(rig: Rig) -> Subject:
    command = [sys.executable, "-m", "uvicorn", "tests.bench.floor:app"]
    command += ["--no-access-log", "--log-level", "warning", "--backlog", "2048"]
    return start(rig, "floor", command, {})._replace(replay_path="/actions/replay")


def direct(rig: Rig, sink: Process) -> Subject:
    """The receiver itself, without anything between."""
    return Subject(DIRECT, rig.sink, sink)


def start(
    rig: Rig, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None
) -> Subject:
    """Run a server with a Valkey of its own; its command gets a free port as `--port`."""
    store, port = store_of(rig, name), free_port()
    env = {"REDIS_URL": store.url, **env}
    running = started([*command, "--port", str(port)], port, cores=rig.cores, env=env, cwd=cwd)
    return Subject(name, port, rig.stack.enter_context(running), store)


def store_of(rig: Rig, name: str) -> Valkey:
    folder = rig.folder / f"{name}-store"
    folder.mkdir()
    store = Valkey(folder)
    rig.stack.callback(store.stop)
    store.start()
    return store


def _gateway(rig: Rig, name: str, tree: Tree, env: Mapping[str, str]) -> Subject:
    command = [tree.python, "-m", "gateway", "serve"]
    return start(rig, name, command, env, cwd=tree.folder)


def _made_key(tree: Tree, env: Mapping[str, str]) -> str:
    """The text of a new key of the gateway that has this data directory."""
    command = ["-m", "gateway", "keys", "create", "--role", "operator", "--name", "bench", "--json"]
    made = subprocess.run(
        [tree.python, *command],
        env={**os.environ, **env},
        cwd=tree.folder,
        stdout=subprocess.PIPE,
        check=True,
    )
    return str(json.loads(made.stdout)["secret"])
