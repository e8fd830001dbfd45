"""Where a loaded gateway's time goes: a flame graph, and a table by layer."""

import asyncio
import sys
from pathlib import Path

from tests.bench.environments import CACHE
from tests.bench.layers import shares
from tests.bench.load import closed_load
from tests.bench.report import Fact, Measured
from tests.bench.session import rigged
from tests.bench.subjects import relay
from tests.bench.traffic import Traffic

CONNECTIONS, REQUESTS_AT_ONCE = 32, 640
SAMPLES_A_SECOND = 400
PY_SPY = str(Path(sys.executable).parent / "py-spy")


async def profiled(row: str, seconds: int) -> tuple[Measured, Path]:
    """The share of each layer, and the file of the flame graph."""
    CACHE.mkdir(exist_ok=True)
    graph, raw = CACHE / f"{row}.svg", CACHE / f"{row}.raw"
    with rigged() as (rig, _):
        subject = relay(rig)
        traffic = Traffic(subject, rig.sink)
        for form, file in (("raw", raw), ("flamegraph", graph)):
            command = ["record", "--pid", str(subject.process.pid), "--output", str(file)]
            command += ["--format", form, "--duration", str(seconds), "--nonblocking"]
            command += ["--rate", str(SAMPLES_A_SECOND), "--threads"]
            await _record(command, traffic, subject.port, row)
    layers = shares(raw.read_text().splitlines())
    facts = [Fact(f"{row}: {name}", 100 * share, "%") for name, share in layers.items()]
    return Measured({}, facts), graph


async def _record(command: list[str], traffic: Traffic, port: int, row: str) -> None:
    """Keep the gateway under load until py-spy has ended."""
    quiet = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(PY_SPY, *command, stdout=quiet, stderr=quiet)
    ended = asyncio.create_task(process.communicate())
    while not ended.done():
        await closed_load(port, await traffic.scripts(row, REQUESTS_AT_ONCE, CONNECTIONS))
    _, errors = await ended
    if process.returncode:
        raise RuntimeError(f"py-spy cannot record: {errors.decode().strip()}")
