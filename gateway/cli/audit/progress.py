"""A progress bar on stderr, shown on a terminal only."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


def progress(length: int, label: str, *, shown: bool = True) -> "ProgressBar[int]":
    """A progress bar, if `shown` and stderr is a terminal."""
    hidden = not (shown and sys.stderr.isatty())
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)
