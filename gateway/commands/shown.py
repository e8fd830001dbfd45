"""How the command line shows what it lists: a table for people, one JSON object for machines."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

Document = Mapping[str, Any]
# Columns that may take several lines; what is copied from the others stays whole.
FOLDED = ("name", "role")


def shown(
    name: str, documents: Sequence[Document], row: Callable[[Document], Document], *, as_json: bool
) -> None:
    """`row`: what of a document has room on a terminal, by its heading."""
    if as_json:
        click.echo(json.dumps({name: documents}, indent=2, ensure_ascii=False))
    elif documents:
        _print([row(document) for document in documents])
    else:
        click.echo(f"No {name}.", err=True)


def told(document: Document, *, as_json: bool, secret: str, said: str) -> None:
    """A secret, this once: alone on stdout, or as `secret` of a JSON object."""
    if as_json:
        click.echo(json.dumps({**document, "secret": secret}, indent=2, ensure_ascii=False))
        return
    click.echo(f"{said} It is shown this once and kept nowhere:", err=True)
    click.echo(secret)


def time(epoch_ms: int | None) -> str | None:
    from gateway.documents import timestamp

    return None if epoch_ms is None else timestamp(epoch_ms)


def day(timestamp: str | None) -> str | None:
    return timestamp and timestamp[:10]


def minute(timestamp: str | None) -> str | None:
    return timestamp and timestamp[:16].replace("T", " ")


def _print(rows: Sequence[Document]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(head, no_wrap=head not in FOLDED, overflow="fold") for head in rows[0]]
    table = Table(*columns, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for row in rows:
        # As Text: a name is not to be read as markup.
        table.add_row(*(Text("-" if value is None else str(value)) for value in row.values()))
    Console().print(table)
