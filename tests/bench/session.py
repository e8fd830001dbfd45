"""Everything that a measurement needs, started in order and ended in reverse."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.bench.load import closed_load
from tests.bench.measuring import Meter, Sample
from tests.bench.plan import Cell, requests_of, rounds
from tests.bench.processes import Process, free_port, started
from tests.bench.rest import idle_share
from tests.bench.subjects import DIRECT, ROOT, Rig, Subject
from tests.bench.traffic import Traffic

REQUESTS = 2500
WARM_REQUESTS, WARM_CONNECTIONS = 128, 32
# How long an open load lasts, with so many requests as a closed one.
OPEN_SECONDS = 5.0
Samples = dict[tuple[Cell, str], list[Sample]]


@contextmanager
def rigged(*, pinned: bool = True) -> Iterator[tuple[Rig, Process]]:
    """A receiver, and room for subjects. Pinned, subjects have the first core; the client, the
    receiver and the stores have the last. Yields the receiver's process too.
    """
    cores = sorted(before := os.sched_getaffinity(0))
    if pinned:
        os.sched_setaffinity(0, {cores[-1]})  # whatever starts from here inherits it
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
            port, own = free_port(), os.sched_getaffinity(0)
            command = [sys.executable, "-m", "tests.bench.sink", str(port)]
            sink = stack.enter_context(started(command, port, cores=own, env={}, cwd=ROOT))
            yield Rig(stack, folder, port, {cores[0]} if pinned else before), sink
    finally:
        os.sched_setaffinity(0, before)


async def measured(
    rig: Rig,
    subjects: Sequence[Subject],
    cells: Sequence[tuple[Cell, Sequence[str]]],
    *,
    number: int,
    requests: int,
) -> Samples:
    """So many rounds of these cells. The progress is on stderr."""
    for subject in subjects:
        await _warm(subject, rig.sink)
    shares = await asyncio.gather(*(idle_share(subject) for subject in subjects))
    idle = {subject.name: share for subject, share in zip(subjects, shares, strict=True)}
    meter = Meter(min(rig.cores), rig.sink, idle)
    named = {subject.name: subject for subject in subjects}
    samples: Samples = {}
    steps = list(rounds(cells, number))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(steps))
        for cell, name in steps:
            text = f"{cell.row} {cell.connections or 'open'} {name}"
            progress.update(task, advance=1, description=text)
            sample = await _sample(meter, named[name], cell, requests)
            samples.setdefault((cell, name), []).append(sample)
    return samples


async def _warm(subject: Subject, sink: int) -> None:
    """Let it open connections and its database, whose loading is no idle CPU."""
    if subject.name != DIRECT:
        scripts = await Traffic(subject, sink).scripts("execute", WARM_REQUESTS, WARM_CONNECTIONS)
        await closed_load(subject.port, scripts)


async def _sample(meter: Meter, subject: Subject, cell: Cell, requests: int) -> Sample:
    if cell.connections:
        total = requests_of(cell.connections, requests)
        return await meter.closed(subject, cell.row, cell.connections, total)
    return await meter.open(subject, cell.row, seconds=requests / REQUESTS * OPEN_SECONDS)
