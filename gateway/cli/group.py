"""The outermost of the command line: arguments that are not text, and output that cannot be
written, end a command with one sentence, never with a traceback.
"""

import io
import os
import sys
from pathlib import Path
from typing import Any

import click


class CommandLine(click.Group):
    """`relay` itself."""

    def main(self, *args: Any, **options: Any) -> Any:
        _open_output()
        try:
            try:
                return super().main(*args, **options)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough
            _abandon_output()
            sys.exit(1)
        except OSError as error:
            _abandon_output()
            what = f"{error.filename}: " if error.filename else ""
            click.ClickException(f"cannot go on: {what}{error.strerror or error}").show()
            sys.exit(1)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            "".join(args).encode()
        except UnicodeEncodeError:
            ctx.fail("an argument is not UTF-8")
        return super().parse_args(ctx, args)


def _open_output() -> None:
    """A closed stdout goes nowhere: the next file that is opened must not take its number. What a
    terminal's encoding lacks is escaped.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    """What is still buffered would fail again at the exit, with exit status 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
