"""What is measured in which order, so that noise meets all subjects alike."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Cell(NamedTuple):
    """A line of the table. `connections` is 0 for an open load."""

    row: str
    connections: int = 0


class Step(NamedTuple):
    cell: Cell
    subject: str


def rounds(cells: Sequence[tuple[Cell, Sequence[str]]], number: int) -> Iterator[Step]:
    """Each round measures every cell once for each of its subjects, interleaved. Every other
    round does so in the reverse order.
    """
    for turn in range(number):
        backwards = -1 if turn % 2 else 1
        for cell, subjects in cells[::backwards]:
            for subject in subjects[::backwards]:
                yield Step(cell, subject)


def requests_of(connections: int, requests: int) -> int:
    """How many requests take about as long as `requests` do over 32 connections."""
    share = {1: 0.25, 8: 0.75}.get(connections, 1.0)
    return max(connections, round(requests * share))
