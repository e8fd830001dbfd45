"""`python -m tests.bench`: what Relay costs. tests/bench/README.md has the method."""

import json
from pathlib import Path

import click
import uvloop

from tests.bench.gate import judged
from tests.bench.machine import described
from tests.bench.report import Measured, as_json, show
from tests.bench.session import REQUESTS
from tests.bench.table import DEFAULT_ROWS, ROWS
from tests.bench.table import table as measure

JSON_OPTION = click.option("--json", "path", type=Path, help="Also write every sample there.")
MARKDOWN_OPTION = click.option("--markdown", is_flag=True, help="Print tables in Markdown.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure Relay beside a floor, its peers or another commit, or profile it."""


def _finish(measured: Measured, path: Path | None, *, markdown: bool) -> None:
    show(measured, markdown=markdown)
    if path:
        path.write_text(json.dumps(as_json(measured, described()), indent=1) + "\n")


@bench.command()
@click.option("--rows", help="Comma-separated; all but soak by default.")
@click.option("--connections", default="1,8,32,128", show_default=True, help="Comma-separated.")
@click.option("--rounds", default=4, show_default=True, help="Medians are over these.")
@click.option("--requests", default=REQUESTS, show_default=True, help="A round, at 32 connections.")
@JSON_OPTION
@MARKDOWN_OPTION
def table(
    rows: str | None,
    connections: str,
    rounds: int,
    requests: int,
    path: Path | None,
    markdown: bool,
) -> None:
    """Measure every row beside the floor: rates, latencies, CPU time, memory.

    Rows: preview, execute, pair, replay, read (GET /runs/{id}); open (400 executes a second),
    delay (a target of 200 ms), records (300,000 of them), memory; soak (ten minutes at half
    load) only if it is named.
    """
    wanted = rows.split(",") if rows else list(DEFAULT_ROWS)
    if unknown := set(wanted) - set(ROWS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(ROWS)}")
    numbers = [int(number) for number in connections.split(",")]
    measured = uvloop.run(measure(wanted, numbers, number=rounds, requests=requests))
    _finish(measured, path, markdown=markdown)


@bench.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--requests", default=600, show_default=True)
def gate(rounds: int, requests: int) -> None:
    """Fail if an execute has grossly lost speed against the floor."""
    judgement = uvloop.run(judged(rounds=rounds, requests=requests))
    click.echo(judgement.text())
    raise SystemExit(judgement.lost)


if __name__ == "__main__":
    bench()
