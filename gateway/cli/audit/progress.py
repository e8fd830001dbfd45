"""A bar on stderr for who watches, and nothing for who does not."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


def progress(length: int, label: str, *, shown: bool = True) -> "ProgressBar[int]":
    """Of a program that writes what it did to a file, stderr is the terminal."""
    hidden = not (shown and sys.stderr.isatty())
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)
