"""The same rows of this tree and of another commit, interleaved."""

from collections.abc import Sequence

from tests.bench.environments import tree_of
from tests.bench.measuring import CLOSED_ROWS
from tests.bench.plan import Cell
from tests.bench.report import Measured
from tests.bench.session import measured, rigged
from tests.bench.subjects import relay


async def compared(
    base: str, rows: Sequence[str], connections: Sequence[int], *, number: int, requests: int
) -> Measured:
    tree = tree_of(base)
    names = ["relay", "base"]
    cells = [
        (Cell(row, each), names)
        for row in rows
        for each in (connections if row in CLOSED_ROWS else [0])
    ]
    with rigged() as (rig, _):
        subjects = [relay(rig), relay(rig, "base", tree)]
        samples = await measured(rig, subjects, cells, number=number, requests=requests)
        return Measured(samples, [])
