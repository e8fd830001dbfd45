"""Ten minutes at half load: memory, descriptors and threads must stay flat."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from statistics import median
from time import monotonic
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from tests.bench.load import closed_load, open_load
from tests.bench.report import Fact
from tests.bench.rest import at_rest
from tests.bench.session import rigged
from tests.bench.subjects import Subject, relay
from tests.bench.traffic import Traffic

SOAK_SECONDS = 600.0
# Caches fill and pools grow for this long; what comes later is compared.
WARM_SECONDS = 60.0
PACE_SECONDS = 5.0
CONNECTIONS, PAIRS = 32, 1500
# How much the last third may be above the first: memory in parts, the others in numbers.
MEMORY_GROWTH, COUNT_GROWTH = 0.03, 3


class Reading(NamedTuple):
    at: float
    resident_mb: float
    descriptors: float
    threads: float


class Growth(NamedTuple):
    """Medians of the first and of the last third of the readings after the warm time."""

    first: float
    last: float

    def flat(self, *, parts: float = 0.0, number: float = 0.0) -> bool:
        return self.last <= self.first * (1 + parts) + number


def growth(series: Sequence[float]) -> Growth:
    third = max(1, len(series) // 3)
    return Growth(median(series[:third]), median(series[-third:]))


async def soak(seconds: float = SOAK_SECONDS) -> list[Fact]:
    with rigged() as (rig, _):
        subject = relay(rig)
        traffic = Traffic(subject, rig.sink)
        whole = await closed_load(subject.port, await traffic.scripts("pair", PAIRS, CONNECTIONS))
        await at_rest(subject)
        rate = len(whole.latencies) / whole.seconds / 2
        readings = await _read_during(subject, traffic, rate, seconds)
        return facts(rate, [reading for reading in readings if reading.at >= WARM_SECONDS])


def facts(rate: float, readings: Sequence[Reading]) -> list[Fact]:
    """The figures of a soak, and whether each stayed flat (1) or not (0)."""
    memory = growth([reading.resident_mb for reading in readings])
    descriptors = growth([reading.descriptors for reading in readings])
    threads = growth([reading.threads for reading in readings])
    return [
        Fact("soak: requests a second, half of the most", rate, ""),
        *_facts("memory", memory, "MB", flat=memory.flat(parts=MEMORY_GROWTH)),
        *_facts("descriptors", descriptors, "", flat=descriptors.flat(number=COUNT_GROWTH)),
        *_facts("threads", threads, "", flat=threads.flat(number=COUNT_GROWTH)),
    ]


def _facts(name: str, grown: Growth, unit: str, *, flat: bool) -> Iterator[Fact]:
    yield Fact(f"soak: {name} in the first third", grown.first, unit)
    yield Fact(f"soak: {name} in the last third", grown.last, unit)
    yield Fact(f"soak: {name} flat", float(flat), "yes or no")


async def _read_during(
    subject: Subject, traffic: Traffic, rate: float, seconds: float
) -> list[Reading]:
    """Read every few seconds while an open load of previews and executes lasts."""
    readings: list[Reading] = []
    began, process = monotonic(), subject.process
    mixed = Mixed(traffic)
    load = asyncio.create_task(
        open_load(
            subject.port,
            iter(mixed.next_request, None),
            number=round(rate * seconds),
            rate=rate,
            seen=mixed.seen,
        )
    )
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("soak", total=seconds)
        while not load.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(PACE_SECONDS):
                    await asyncio.shield(load)
            at = monotonic() - began
            progress.update(task, completed=at)
            resources = process.resident_mb(), process.descriptors(), process.threads()
            readings.append(Reading(at, *resources))
    await load
    return readings


class Mixed:
    """Executes the previews that have been answered, and previews while none waits."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._answers: deque[bytes] = deque()

    def next_request(self) -> bytes:
        if self._answers:
            return self._traffic.execute_of(self._answers.popleft())
        return self._traffic.preview

    def seen(self, answer: bytes) -> None:
        if b'"run_id"' not in answer:
            self._answers.append(answer)
