"""The short row of `.ci/run`: executes of a gateway and of the floor, side by side."""

from collections.abc import Callable

from tests.bench.judge import Judgement, judge
from tests.bench.plan import Cell
from tests.bench.session import measured, rigged
from tests.bench.subjects import Rig, Subject, floor, relay

CELL = Cell("execute", 32)


async def judged(
    *, rounds: int, requests: int, subject: Callable[[Rig], Subject] = relay
) -> Judgement:
    with rigged() as (rig, _):
        subjects = [subject(rig), floor(rig)]
        names = [each.name for each in subjects]
        cells = [(CELL, names)]
        samples = await measured(rig, subjects, cells, number=rounds, requests=requests)
        return judge(*(samples[CELL, name] for name in names))
