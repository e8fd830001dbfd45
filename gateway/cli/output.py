"""Print lists and secrets: a table for people, one JSON object for machines."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

Document = Mapping[str, Any]
# Columns that may take several lines; the others can be copied whole.
FOLDED = ("name", "role")
FOLDED_MIN = 9
GAP = 2


def print_list(
    name: str, documents: Sequence[Document], row: Callable[[Document], Document], *, as_json: bool
) -> None:
    """`row`: the cells of a document, by heading."""
    if as_json:
        click.echo(json.dumps({name: documents}, indent=2, ensure_ascii=False))
    elif documents:
        _print([row(document) for document in documents])
    else:
        click.echo(f"No {name}.", err=True)


def print_secret(document: Document, *, as_json: bool, secret: str, text: str) -> None:
    """Print a secret, alone on stdout or as `secret` of a JSON object. `text` goes to stderr."""
    if as_json:
        click.echo(json.dumps({**document, "secret": secret}, indent=2, ensure_ascii=False))
        return
    click.echo(text, err=True)
    click.echo(secret)


def time(epoch_ms: int | None) -> str | None:
    from gateway.timestamps import timestamp

    return None if epoch_ms is None else timestamp(epoch_ms)


def day(timestamp: str | None) -> str | None:
    return timestamp and timestamp[:10]


def minute(timestamp: str | None) -> str | None:
    return timestamp and timestamp[:16].replace("T", " ")


def _print(rows: Sequence[Document]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As Text: a name is not markup.
    cells = [[Text("-" if value is None else str(value)) for value in row.values()] for row in rows]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    width = -GAP
    for head, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        folded, widest = head in FOLDED, max(len(head), *(cell.cell_len for cell in column))
        table.add_column(head, no_wrap=not folded, overflow="fold")
        width += GAP + (min(widest, FOLDED_MIN) if folded else widest)
    for row in cells:
        table.add_row(*row)
    console = Console()
    # A narrow terminal breaks the lines: leaving out columns would hide what a key may do.
    console.width = max(console.width, width)
    console.print(table)
