"""What is measured, side by side."""

from contextlib import ExitStack
from typing import NamedTuple

from tests.bench.processes import Process, free_port, started


class Subject(NamedTuple):
    """What is measured. `replay_path`: where it answers for a key that it knows."""

    name: str
    port: int
    process: Process
    replay_path: str


def subjects_of(stack: ExitStack, compare: str, store: str, core: int, sink: int) -> list[Subject]:
    collector = f"http://127.0.0.1:{sink}"
    env = {
        "REDIS_URL": store,
        "EGRESS_ALLOW": "127.0.0.1",
        "ACTIONS_SIGNING_SECRET": "bench",
        "STOP_DELAY": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "GRAFANA_URL": "http://127.0.0.1:3000",
    }

    def relay(name: str, **more: str) -> Subject:
        return start(name, "/actions/execute", "gateway", "serve", **more)

    def start(name: str, replay_path: str, *module: str, **more: str) -> Subject:
        port = free_port()
        command = [*module, "--port", str(port)]
        process = started(command, port, core=core, env={**env, **more})
        return Subject(name, port, stack.enter_context(process), replay_path)

    if compare == "collectors":
        refusing = f"http://127.0.0.1:{free_port()}"
        return [
            relay("refusing", OTEL_EXPORTER_OTLP_ENDPOINT=refusing),
            relay("hanging", OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector}/silent"),
            relay("working"),
        ]
    bare = ("uvicorn", "tests.bench.floor:app", "--no-access-log", "--log-level", "warning")
    return [
        relay("relay"),
        relay("quiet", TELEMETRY_ENABLED="false"),
        start("floor", "/actions/replay", *bare),
    ]
