"""`python -m tests.bench`: what Relay costs. tests/bench/README.md has the method."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import click
import uvloop

from tests.bench.agents import Plan, agents, facts
from tests.bench.compare import compared
from tests.bench.gate import judged
from tests.bench.machine import described
from tests.bench.peers.run import PEER_NAMES, beside_peers
from tests.bench.profile import profiled
from tests.bench.report import REFERENCES, Measured, as_json, show
from tests.bench.session import REQUESTS
from tests.bench.table import DEFAULT_ROWS, ROWS
from tests.bench.table import table as measure
from tests.bench.tools import beside_http

JSON_OPTION = click.option("--json", "path", type=Path, help="Also write every sample there.")
MARKDOWN_OPTION = click.option("--markdown", is_flag=True, help="Print tables in Markdown.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure Relay beside a floor, its peers or another commit, or profile it."""


def _finish(
    measured: Measured,
    path: Path | None,
    *,
    markdown: bool,
    references: Mapping[str, str] = REFERENCES,
) -> None:
    show(measured, references, markdown=markdown)
    if path:
        path.write_text(json.dumps(as_json(measured, described()), indent=1) + "\n")


@bench.command()
@click.option("--rows", help="Comma-separated; all but soak by default.")
@click.option("--connections", default="1,8,32,128", show_default=True, help="Comma-separated.")
@click.option("--rounds", default=3, show_default=True, help="Medians are over these.")
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


@bench.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--requests", default=2000, show_default=True, help="A round.")
@JSON_OPTION
@MARKDOWN_OPTION
def peers(rounds: int, requests: int, path: Path | None, markdown: bool) -> None:
    """Measure executes beside what a user might take instead, on all cores.

    The public idempotency middleware, DBOS and Restate; their packages are installed in .bench.
    """
    measured = uvloop.run(beside_peers(number=rounds, requests=requests))
    _finish(measured, path, markdown=markdown, references=dict.fromkeys(PEER_NAMES, "relay"))


@bench.command()
@click.argument("base")
@click.option("--rows", default="preview,execute,pair,replay,read", show_default=True)
@click.option("--connections", default="1,32", show_default=True, help="Comma-separated.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--requests", default=REQUESTS, show_default=True, help="A round, at 32 connections.")
@JSON_OPTION
@MARKDOWN_OPTION
def compare(
    base: str,
    rows: str,
    connections: str,
    rounds: int,
    requests: int,
    path: Path | None,
    markdown: bool,
) -> None:
    """Measure this tree beside the commit BASE, in a worktree with its own environment."""
    numbers = [int(number) for number in connections.split(",")]
    asked = rows.split(",")
    measured = uvloop.run(compared(base, asked, numbers, number=rounds, requests=requests))
    _finish(measured, path, markdown=markdown, references={"relay": "base"})


@bench.command()
@click.option("--connections", default="1,32", show_default=True, help="Comma-separated.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--requests", default=REQUESTS, show_default=True, help="A round, at 32 connections.")
@JSON_OPTION
@MARKDOWN_OPTION
def tools(connections: str, rounds: int, requests: int, path: Path | None, markdown: bool) -> None:
    """Measure calls of tools over MCP beside the same over HTTP."""
    numbers = [int(number) for number in connections.split(",")]
    measured = uvloop.run(beside_http(numbers, number=rounds, requests=requests))
    _finish(measured, path, markdown=markdown, references={"mcp": "http"})


@bench.command("agents")
@click.option("--clients", default=50, show_default=True)
@click.option("--calls", default=10_000, show_default=True, help="Of all clients.")
@click.option("--seed", default=1, show_default=True, help="Of what is lost and repeated.")
def agents_command(clients: int, calls: int, seed: int) -> None:
    """Fail if agents that lose answers and call again deliver anything twice.

    They call three gateways through an address that cuts connections.
    """
    outcome = asyncio.run(agents(Plan(clients, calls, seed)))
    for fact in facts(outcome):
        click.echo(f"{fact.name}: {fact.value:.0f}")
    raise SystemExit(not outcome.whole)


@bench.command()
@click.option("--row", default="pair", show_default=True, help="What the clients ask for.")
@click.option("--seconds", default=15, show_default=True, help="For each of two recordings.")
@MARKDOWN_OPTION
def profile(row: str, seconds: int, markdown: bool) -> None:
    """Draw a flame graph of a loaded gateway, and show its time by layer."""
    measured, graph = uvloop.run(profiled(row, seconds))
    _finish(measured, None, markdown=markdown)
    click.echo(f"flame graph: {graph}")


if __name__ == "__main__":
    bench()
