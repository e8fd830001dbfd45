"""Executes of Relay and its peers in one run, all processes on all cores."""

from statistics import median

import click

from tests.bench.environments import Unavailable
from tests.bench.figures import ratios
from tests.bench.peers.subjects import dbos, middleware, restate
from tests.bench.plan import Cell
from tests.bench.report import Fact, Measured
from tests.bench.session import measured, rigged
from tests.bench.subjects import Subject, floor, relay

CELL = Cell("execute", 32)
PEER_NAMES = ("floor", "middleware", "dbos", "restate")


async def beside_peers(*, number: int, requests: int) -> Measured:
    with rigged(pinned=False) as (rig, _):
        subjects: list[Subject] = [relay(rig), floor(rig), middleware(rig), await dbos(rig)]
        try:
            subjects.append(restate(rig))
        except Unavailable as why:
            click.echo(f"left out: {why}", err=True)
        names = [subject.name for subject in subjects]
        samples = await measured(rig, subjects, [(CELL, names)], number=number, requests=requests)
    rates = {name: [sample.rate for sample in samples[CELL, name]] for name in names}
    own = rates.pop("relay")
    facts = [
        Fact(f"Relay's executes, of those of {name}", median(ratios(own, rate)), "times")
        for name, rate in rates.items()
    ]
    return Measured(samples, facts)
