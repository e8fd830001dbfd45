"""Which entries an export hands over: by their time, or by their number."""

from collections.abc import Sequence
from typing import NamedTuple

import click

from gateway.timestamps import timestamp


class Between(NamedTuple):
    """By the time of the entry; `until_ms` is not in."""

    since_ms: int
    until_ms: int

    def __str__(self) -> str:
        return f"from {timestamp(self.since_ms)} to {timestamp(self.until_ms)}"


class After(NamedTuple):
    """By number; an entry that comes late has a greater one than those that came before it."""

    seq: int

    def __str__(self) -> str:
        return f"after entry {self.seq}"


class ExportRequest(NamedTuple):
    """`event`: one of these, none for any."""

    export_range: Between | After
    event: tuple[str, ...] = ()

    def __str__(self) -> str:
        only = f" of {', '.join(self.event)}" if self.event else ""
        return f"export{only} {self.export_range}"


def export_range(
    named: Sequence[str], now_ms: int, *, since: int | None, until: int | None, after: int | None
) -> Between | After:
    """What the options come to. Raises UsageError."""
    if since is not None and after is None:
        return Between(since, now_ms if until is None else min(until, now_ms))
    if since is not None or after is None:
        raise click.UsageError("Give one of --since and --after.")
    if until is not None:
        raise click.UsageError("--until goes with --since: by time, late entries are left out.")
    if len({*named}) != 1:
        raise click.UsageError("--after takes exactly one --workspace: each counts its own.")
    return After(after)
