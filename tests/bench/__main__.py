"""`make bench`: requests a second, latency, CPU a request and memory, beside the floor.

`relay` traces, counts and logs every request, and exports each span; `quiet` is
the same with TELEMETRY_ENABLED=false. `--compare collectors` has three gateways
whose collectors refuse, hang and work; `--compare admission` has one whose
callers bring a key and are limited, and one that is open.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stores.redis.embedded import embedded_server
from tests.bench.load import Load, Script, each, load, preview_id, request
from tests.bench.processes import free_port, started
from tests.bench.subjects import Rig, Subject, subjects_of

# The table's own width: its spreads must not be cut where there is no terminal.
WIDTH = 132
ROWS = ("preview", "execute", "pair", "replay")
_numbers = count()


class Sample(NamedTuple):
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    client_share: float


async def measure(subject: Subject, row: str, connections: int, total: int, sink: int) -> Sample:
    """One row once: `total` requests (pairs) over so many connections."""
    url = f"http://127.0.0.1:{sink}/hook/bench"
    asked = b'{"action":"webhook.save","params":{"url":"%s","body":{"test":"bench","n":1}}}'
    asked %= url.encode()
    previews = request("/actions/preview", asked, api_key=subject.api_key)
    if row == "preview":
        scripts = _shared(iter([previews] * total), connections)
    elif row == "pair":
        scripts = [_pairs(subject, previews, total // connections) for _ in range(connections)]
    else:
        executes = await _prepared(subject, previews, total if row == "execute" else 1)
        if row == "replay":
            await load(subject.port, _shared(iter(executes), 1))
            known = executes[0].replace(b"/actions/execute", subject.replay_path.encode(), 1)
            executes = [known] * total
        scripts = _shared(iter(executes), connections)
    before = subject.process.cpu_seconds()
    done = await load(subject.port, scripts)
    return _sample(done, subject.process.cpu_seconds() - before, pairs=row == "pair")


def _shared(requests: Iterator[bytes], connections: int) -> list[Script]:
    return [each(requests) for _ in range(connections)]


def _execute(subject: Subject, preview: str) -> bytes:
    key = f"bench-{os.getpid()}-{next(_numbers)}"
    return request(
        "/actions/execute", b'{"preview_id":"%s"}' % preview.encode(), key, subject.api_key
    )


def _pairs(subject: Subject, previews: bytes, pairs: int) -> Script:
    left = iter(range(2 * pairs))

    def following(answer: bytes) -> bytes | None:
        turn = next(left, None)
        if turn is None:
            return None
        return _execute(subject, preview_id(answer)) if turn % 2 else previews

    return following


async def _prepared(subject: Subject, previews: bytes, total: int) -> list[bytes]:
    """The executes of as many fresh previews."""
    executes: list[bytes] = []

    def collecting(left: Iterator[int]) -> Script:
        def following(answer: bytes) -> bytes | None:
            if answer:
                executes.append(_execute(subject, preview_id(answer)))
            return None if next(left, None) is None else previews

        return following

    left = iter(range(total))
    await load(subject.port, [collecting(left) for _ in range(min(total, 16))])
    return executes


def _sample(done: Load, cpu_seconds: float, *, pairs: bool) -> Sample:
    latencies = sorted(done.latencies)
    number = len(latencies) // (2 if pairs else 1)
    return Sample(
        rate=number / done.seconds,
        p50_ms=latencies[len(latencies) // 2] * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        cpu_us=cpu_seconds / number * 1e6,
        client_share=done.client_seconds / done.seconds,
    )


Samples = dict[tuple[str, str, int], list[Sample]]


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--requests", default=4000, show_default=True, help="A row and round.")
@click.option(
    "--compare",
    type=click.Choice(["floor", "collectors", "admission"]),
    default="floor",
    show_default=True,
)
@click.option("--json", "path", type=Path, help="Also write every sample there.")
def bench(rounds: int, requests: int, compare: str, path: Path | None) -> None:
    """Measure Relay beside its floor, or with collectors that fail.

    Rounds are interleaved; medians, lowest and highest.
    """
    console = Console(width=max(WIDTH, Console().width))
    samples, memory = uvloop.run(_bench(console, compare, rounds, requests))
    console.print(_table(samples))
    for name, figures in memory.items():
        console.print(f"{name}: {figures[0]:.1f} MB resident idle, {figures[1]:.1f} after the load")
    if path:
        rows = [
            {"subject": name, "row": row, "connections": connections, **sample._asdict()}
            for (name, row, connections), taken in samples.items()
            for sample in taken
        ]
        path.write_text(json.dumps({"samples": rows, "resident_mb": memory}, indent=1))


async def _bench(
    console: Console, compare: str, rounds: int, requests: int
) -> tuple[Samples, dict[str, tuple[float, float]]]:
    samples: Samples = {}
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        async with embedded_server(folder) as store:
            sink = free_port()
            stack.enter_context(
                started(["tests.bench.sink", str(sink)], sink, core=cores[-1], env={})
            )
            subjects = subjects_of(stack, compare, Rig(f"unix://{store}", cores[0], sink, folder))
            idle = {subject.name: subject.process.resident_mb() for subject in subjects}
            with Progress(console=console, transient=True) as progress:
                steps = [
                    (row, connections, subject)
                    for _ in range(rounds)
                    for row in ROWS
                    for connections in (1, 32)
                    for subject in subjects
                ]
                for row, connections, subject in progress.track(steps, description="measuring"):
                    total = requests // 4 if connections == 1 else requests
                    sample = await measure(subject, row, connections, total, sink)
                    samples.setdefault((subject.name, row, connections), []).append(sample)
            memory = {s.name: (idle[s.name], s.process.resident_mb()) for s in subjects}
            return samples, memory


def _table(samples: Samples) -> Table:
    """The last subject is what the others are held against."""
    reference = list(samples)[-1][0]
    table = Table(
        *("row", "connections", "subject", "a second", "p50 ms", "p99 ms"),
        *("CPU us", "client's core", f"of {reference}"),
    )
    for (name, row, connections), taken in sorted(samples.items(), key=lambda item: item[0][1:]):
        floor = median(sample.rate for sample in samples[reference, row, connections])
        rate = median(sample.rate for sample in taken)
        table.add_row(
            row,
            str(connections),
            name,
            _spread([sample.rate for sample in taken], 0),
            _spread([sample.p50_ms for sample in taken], 2),
            _spread([sample.p99_ms for sample in taken], 2),
            _spread([sample.cpu_us for sample in taken], 0),
            f"{median(sample.client_share for sample in taken):.0%}",
            f"{rate / floor:.2f}",
        )
    return table


def _spread(figures: list[float], digits: int) -> str:
    middle, low, high = median(figures), min(figures), max(figures)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


if __name__ == "__main__":
    bench()
