"""The rows of `make bench`, in groups of subjects that run side by side."""

import asyncio
from collections.abc import Sequence

from tests.bench.measuring import CLOSED_ROWS, OPEN_ROWS
from tests.bench.plan import Cell
from tests.bench.records import fill
from tests.bench.report import Fact, Measured
from tests.bench.rest import at_rest
from tests.bench.scrape import dropped
from tests.bench.session import Samples, measured, rigged
from tests.bench.soak import soak
from tests.bench.subjects import DIRECT, direct, floor, lean, relay

ROWS = (*CLOSED_ROWS, *OPEN_ROWS, "records", "memory", "soak")
DEFAULT_ROWS = ROWS[:-1]
RECORDS, FEW_RECORDS = 300_000, 1_000
# What is asked of a gateway with many records.
RECORD_CELLS = (*(Cell(row, 32) for row in ("preview", "execute", "replay", "read")), Cell("open"))
# A gateway has opened its database and read its keys after this time.
SETTLED_SECONDS = 5.0


async def table(
    rows: Sequence[str], connections: Sequence[int], *, number: int, requests: int
) -> Measured:
    samples: Samples = {}
    facts: list[Fact] = []
    if "memory" in rows:
        facts.append(await _lean())
    cells = [
        *(
            (Cell(row, each), ["relay", "floor"])
            for row in CLOSED_ROWS
            if row in rows
            for each in connections
        ),
        *((Cell(row), ["relay", "floor"]) for row in ("open",) if row in rows),
        *((Cell(row), ["relay", "floor", DIRECT]) for row in ("delay",) if row in rows),
    ]
    if cells or "memory" in rows:
        done = await _beside_floor(cells, number, requests)
        samples |= done.samples
        facts += done.facts
    if "records" in rows:
        done = await _with_records(number, requests)
        samples |= done.samples
        facts += done.facts
    if "soak" in rows:
        facts += await soak()
    return Measured(samples, facts)


async def _lean() -> Fact:
    with rigged() as (rig, _):
        subject = lean(rig)
        await asyncio.sleep(SETTLED_SECONDS)
        return Fact("resident, idle, lean", subject.process.resident_mb(), "MB")


async def _beside_floor(
    cells: Sequence[tuple[Cell, Sequence[str]]], number: int, requests: int
) -> Measured:
    with rigged() as (rig, sink):
        subjects = [relay(rig), floor(rig), direct(rig, sink)]
        await asyncio.sleep(SETTLED_SECONDS)
        own = subjects[0].process
        facts = [Fact("resident, idle, everything on", own.resident_mb(), "MB")]
        samples = await measured(rig, subjects, cells, number=number, requests=requests)
        await at_rest(subjects[0])
        facts.append(Fact("resident, after the load", own.resident_mb(), "MB"))
        facts.append(Fact("spans, lines and entries dropped", dropped(subjects[0]), ""))
        return Measured(samples, facts)


async def _with_records(number: int, requests: int) -> Measured:
    with rigged() as (rig, _):
        few, full = relay(rig, "few"), relay(rig, "full")
        await fill(few, rig.sink, FEW_RECORDS)
        filled = await fill(full, rig.sink, RECORDS)
        cells = [(cell, ["few", "full"]) for cell in RECORD_CELLS]
        samples = await measured(rig, [few, full], cells, number=number, requests=requests)
        renamed = {
            (cell._replace(row=f"{cell.row}, {RECORDS:,} records"), name): taken
            for (cell, name), taken in samples.items()
        }
        return Measured(renamed, [Fact("a finished run in the store", filled.bytes_each, "bytes")])
