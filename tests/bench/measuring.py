"""One row of one subject, measured once."""

from collections.abc import Sequence
from statistics import mean
from time import monotonic
from typing import NamedTuple

from tests.bench.calibration import calibrated, loop_seconds
from tests.bench.figures import percentile
from tests.bench.load import Load, closed_load, open_load
from tests.bench.rest import at_rest
from tests.bench.subjects import DIRECT, Subject
from tests.bench.traffic import HOOK, SLOW_HOOK, Traffic, straight

CLOSED_ROWS = ("preview", "execute", "pair", "replay", "read")
# Row, executes a second, path of the receiver.
OPEN_ROWS = {"open": (400.0, HOOK), "delay": (100.0, SLOW_HOOK)}


class Sample(NamedTuple):
    """`rate`: requests or pairs a second. `client_share`: how busy the client's core was with the
    client alone. `loop_ms`: what the calibration loop took.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    client_share: float
    loop_ms: float


class Meter:
    """Measures subjects whose process is on this core. `idle`: each one's share of it at rest."""

    def __init__(self, core: int, sink: int, idle: dict[str, float]) -> None:
        self._core, self._sink, self._idle = core, sink, idle

    async def closed(self, subject: Subject, row: str, connections: int, total: int) -> Sample:
        """`total` requests, or pairs, over so many connections."""
        scripts = await Traffic(subject, self._sink).scripts(row, total, connections)
        await at_rest(subject)
        with_cpu = _Clock(subject, self._core, self._idle.get(subject.name, 0.0))
        done = await closed_load(subject.port, scripts)
        return await with_cpu.sample(done, requests_each=2 if row == "pair" else 1)

    async def open(self, subject: Subject, row: str, seconds: float) -> Sample:
        """Executes at the rate of the row for so many seconds."""
        rate, hook = OPEN_ROWS[row]
        requests = await self._executes(subject, hook, round(rate * seconds))
        await at_rest(subject)
        with_cpu = _Clock(subject, self._core, self._idle.get(subject.name, 0.0))
        done = await open_load(subject.port, iter(requests), number=len(requests), rate=rate)
        return await with_cpu.sample(done)

    async def _executes(self, subject: Subject, hook: str, total: int) -> Sequence[bytes]:
        if subject.name == DIRECT:
            return straight(total, hook)
        return await Traffic(subject, self._sink, hook).requests("execute", total)


class _Clock:
    """The CPU of a process from now until it is at rest again, less what it uses when idle."""

    def __init__(self, subject: Subject, core: int, idle: float) -> None:
        self._subject, self._core, self._idle = subject, core, idle
        self._loop = loop_seconds(core)
        self._began, self._cpu = monotonic(), subject.process.cpu_seconds()

    async def sample(self, done: Load, requests_each: int = 1) -> Sample:
        await at_rest(self._subject)
        used = self._subject.process.cpu_seconds() - self._cpu
        used -= self._idle * (monotonic() - self._began)
        loop = mean((self._loop, loop_seconds(self._core)))
        latencies = sorted(done.latencies)
        number = len(latencies) / requests_each
        return Sample(
            rate=number / done.seconds,
            p50_ms=percentile(latencies, 0.5) * 1e3,
            p99_ms=percentile(latencies, 0.99) * 1e3,
            cpu_us=calibrated(used, loop) / number * 1e6,
            client_share=done.client_seconds / done.seconds,
            loop_ms=loop * 1e3,
        )
