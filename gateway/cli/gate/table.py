"""Show a judgement: a table for people, JSON for machines."""

import math
from collections.abc import Callable

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gateway.cli.gate.judgement import Judgement
from gateway.cli.gate.prometheus import Unanswered
from gateway.cli.gate.verdicts import Criterion, Unit, Verdict

OUTCOMES = ("pass", "fail", "not judged")
_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "bold red"}
_WRITTEN: dict[Unit, Callable[[float], str]] = {
    Unit.RATIO: lambda share: f"{share * 100:.3g} %",
    Unit.SECONDS: lambda seconds: (
        f"{seconds * 1000:,.4g} ms" if seconds < 1 else f"{seconds:.4g} s"
    ),
    Unit.MINUTES: lambda minutes: f"{minutes:.0f} min",
    Unit.BYTES: lambda octets: f"{octets / 1e6:.4g} MB",
    Unit.TIMES: lambda times: f"{times:.3g} times",
    Unit.REPLICAS: lambda count: f"{count:.0f}",
}


def show(judgement: Judgement, *, as_json: bool) -> None:
    """In JSON what is above the last bucket is null."""
    outcome = OUTCOMES[judgement.exit_status]
    if as_json:
        told = {"verdict": outcome, "exit_status": judgement.exit_status}
        click.echo(msgspec.json.encode(told | msgspec.structs.asdict(judgement)))
        return
    console = Console()
    console.print(_table(judgement.criteria))
    until = judgement.until.isoformat(timespec="seconds")
    window, baseline = judgement.window_seconds, judgement.baseline_seconds
    about = f"job {judgement.job}, {window:g} s until {until}, baseline: {baseline:g} s before that"
    console.print(Text(f"{outcome}: {about}"))


def show_unanswered(error: Unanswered, *, as_json: bool) -> None:
    if as_json:
        told = {"verdict": OUTCOMES[2], "exit_status": 2, "error": str(error)}
        click.echo(msgspec.json.encode(told))
    else:
        click.echo(f"Error: {error}", err=True)


def _table(criteria: list[Criterion]) -> Table:
    heads = ("criterion", "threshold", "measured", "samples", "verdict", "seen")
    table = Table(*(Column(head, overflow="fold") for head in heads))
    for row in criteria:
        scarce = row.samples < row.minimum
        samples = f"{row.samples:,} of {row.minimum:,}" if scarce else f"{row.samples:,}"
        limit = f"{row.limit} {_WRITTEN[row.unit](row.threshold)}"
        said = "FAIL" if row.verdict is Verdict.FAILED else row.verdict
        verdict = Text(said, style=_COLOURS.get(row.verdict, "yellow"))
        # As Text: a label from Prometheus is not to be read as markup.
        table.add_row(row.criterion, limit, _measured(row), samples, verdict, Text(row.note))
    return table


def _measured(row: Criterion) -> str:
    if row.measured is None:
        return "-"
    return "above all" if math.isinf(row.measured) else _WRITTEN[row.unit](row.measured)
