"""Points in time on the command line."""

import re
from datetime import UTC, datetime, timedelta

import click

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Instant(click.ParamType[int]):
    """`2026-11-23`, `2026-11-23T04:00Z`, or so long ago: `24h`, `7d`. UTC unless it says else.

    Becomes epoch milliseconds.
    """

    name = "when"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return epoch_ms(_read(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time like 2026-11-23, 2026-11-23T04:00Z, 24h or 7d", param)


def epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _read(text: str) -> datetime:
    if ago := re.fullmatch(r"([0-9]+)([smhdw])", text):
        return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
