"""What is measured, side by side."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.bench.processes import Process, free_port, started

LIMITS = ("RATE_LIMIT_PREVIEW", "RATE_LIMIT_EXECUTE")


class Subject(NamedTuple):
    """What is measured. `replay_path`: where it answers for a key that it knows. `api_key`: what
    its clients bring, if anything.
    """

    name: str
    port: int
    process: Process
    replay_path: str
    api_key: str = ""


class Rig(NamedTuple):
    store: str
    core: int
    sink: int
    folder: Path


def subjects_of(stack: ExitStack, compare: str, rig: Rig) -> list[Subject]:
    env = _environ(rig)
    collector = env["OTEL_EXPORTER_OTLP_ENDPOINT"]

    def relay(name: str, **more: str) -> Subject:
        return start(name, "/actions/execute", "gateway", "serve", **more)

    def start(name: str, replay_path: str, *module: str, **more: str) -> Subject:
        port = free_port()
        command = [*module, "--port", str(port)]
        own = {"RELAY_DATA_DIR": str(rig.folder / name), **env, **more}
        process = started(command, port, core=rig.core, env=own)
        return Subject(name, port, stack.enter_context(process), replay_path)

    if compare == "collectors":
        refusing = f"http://127.0.0.1:{free_port()}"
        return [
            relay("refusing", OTEL_EXPORTER_OTLP_ENDPOINT=refusing),
            relay("hanging", OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector}/silent"),
            relay("working"),
        ]
    if compare == "admission":
        relay("shipper")  # first, so that it leads: to ship the audit is no part of a request
        api_key = _made_key(rig.folder / "keyed")
        return [relay("keyed")._replace(api_key=api_key), relay("open", RATE_LIMIT_ENABLED="false")]
    bare = ("uvicorn", "tests.bench.floor:app", "--no-access-log", "--log-level", "warning")
    return [
        relay("relay"),
        relay("quiet", TELEMETRY_ENABLED="false"),
        start("floor", "/actions/replay", *bare),
    ]


def _environ(rig: Rig) -> dict[str, str]:
    return {
        "REDIS_URL": rig.store,
        **dict.fromkeys(LIMITS, "1000000"),
        "RUNS_AT_ONCE": "100000",
        "RUNS_AT_ONCE_PER_TARGET": "100000",
        "EGRESS_ALLOW": "127.0.0.1",
        "ACTIONS_SIGNING_SECRET": "bench",
        "STOP_DELAY": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{rig.sink}",
        "GRAFANA_URL": "http://127.0.0.1:3000",
    }


def _made_key(data_dir: Path) -> str:
    """The text of a new key of the gateway that has this data directory."""
    command = ["-m", "gateway", "keys", "create", "--role", "operator", "--name", "bench", "--json"]
    made = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "RELAY_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return str(json.loads(made.stdout)["secret"])
