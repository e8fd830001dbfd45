"""Lengths of time on the command line."""

import re
from datetime import timedelta

import click

from gateway.cli.options import UNITS


class Duration(click.ParamType[timedelta]):
    """`90d`, `24h`, `0s`; becomes a timedelta."""

    name = "span"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):  # the default
            return value
        span = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
        if span is None:
            self.fail(f"{value!r} is no length of time like 90d, 24h or 30m", param, ctx)
        return timedelta(**{UNITS[span[2]]: int(span[1])})
