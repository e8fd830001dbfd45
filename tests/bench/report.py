"""The figures as a table, as Markdown and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Spread, ratios
from tests.bench.measuring import Sample
from tests.bench.session import Samples
from tests.bench.subjects import DIRECT

# The table's own width: its spreads must not be cut where there is no terminal.
WIDTH = 150
HEAD = (
    *("Row", "Connections", "Subject", "Per second", "p50 ms", "p99 ms", "CPU µs"),
    *("Rate, of the other", "CPU, other's over its"),
)
# What a subject is held against.
REFERENCES = {"relay": "floor", "full": "few"}
# Subjects of more than one process, or on another core.
UNCOUNTED = frozenset({DIRECT, "restate", "dbos"})


class Fact(NamedTuple):
    """A figure that is no rate or latency, such as a size in memory. A `yes or no` is 1 or 0."""

    name: str
    value: float
    unit: str

    def text(self) -> str:
        match self.unit:
            case "yes or no":
                return "yes" if self.value else "no"
            case "times":
                return f"{self.value:,.2f} times"
            case _:
                return f"{self.value:,.1f} {self.unit}".strip()


class Measured(NamedTuple):
    samples: Samples
    facts: Sequence[Fact]


def lines(
    samples: Samples, references: Mapping[str, str] = REFERENCES
) -> Iterator[tuple[str, ...]]:
    """A line for each row, number of connections and subject."""
    for (cell, name), taken in sorted(samples.items(), key=lambda item: item[0][0]):
        reference = samples.get((cell, references.get(name, "")))
        yield (
            cell.row,
            str(cell.connections) if cell.connections else "open loop",
            name,
            Spread.of([sample.rate for sample in taken]).text(0),
            Spread.of([sample.p50_ms for sample in taken]).text(2),
            Spread.of([sample.p99_ms for sample in taken]).text(1),
            "" if name in UNCOUNTED else Spread.of([sample.cpu_us for sample in taken]).text(0),
            *(_held_against(name, taken, reference) if reference else ("", "")),
        )


def _held_against(
    name: str, taken: Sequence[Sample], reference: Sequence[Sample]
) -> tuple[str, str]:
    rate = ratios([sample.rate for sample in taken], [sample.rate for sample in reference])
    cpu = ratios([sample.cpu_us for sample in reference], [sample.cpu_us for sample in taken])
    return Spread.of(rate).text(2), "" if name in UNCOUNTED else Spread.of(cpu).text(2)


def added(samples: Samples) -> list[Fact]:
    """What a subject adds to a slow target: its percentiles less the target's own median."""
    slow = {name: taken for (cell, name), taken in samples.items() if cell.row == "delay"}
    if DIRECT not in slow:
        return []
    target = Spread.of([sample.p50_ms for sample in slow.pop(DIRECT)]).median
    return [
        Fact(f"{name} adds to a target of 200 ms, {label}", middle - target, "ms")
        for name, taken in slow.items()
        for label, middle in (
            ("p50", Spread.of([sample.p50_ms for sample in taken]).median),
            ("p99", Spread.of([sample.p99_ms for sample in taken]).median),
        )
    ]


def show(measured: Measured, references: Mapping[str, str] = REFERENCES, *, markdown: bool) -> None:
    console = Console(width=max(WIDTH, Console().width))
    facts = [*measured.facts, *added(measured.samples)]
    shown = list(lines(measured.samples, references))
    values = [(fact.name, fact.text()) for fact in facts]
    for head, rows in ((HEAD, shown), (("Figure", "Value"), values)):
        if rows and markdown:
            console.print("\n".join(_markdown(head, rows)), soft_wrap=True, highlight=False)
        elif rows:
            console.print(_table(head, rows))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def as_json(measured: Measured, described: Mapping[str, Any]) -> dict[str, Any]:
    """Every sample with the machine, the versions and the commit that it is of."""
    return {
        **described,
        "facts": [fact._asdict() for fact in (*measured.facts, *added(measured.samples))],
        "samples": [
            {**cell._asdict(), "subject": name, "round": number, **sample._asdict()}
            for (cell, name), taken in measured.samples.items()
            for number, sample in enumerate(taken)
        ],
    }
