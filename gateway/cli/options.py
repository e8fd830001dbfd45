"""Option types: durations, points in time, URLs."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from gateway.timestamps import duration, epoch_ms

if TYPE_CHECKING:
    import httpx2


class Duration(click.ParamType[timedelta]):
    """A duration such as `90d`, `24h` or `1h30m`; at most a century by default."""

    name = "duration"

    def __init__(
        self, *, shortest: timedelta = timedelta(), longest: timedelta = timedelta(days=36_525)
    ) -> None:
        self._shortest, self._longest = shortest, longest

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):  # the default
            return value
        try:
            given = duration(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a duration like 15m, 1h30m or 7d", param)
        if not self._shortest <= given <= self._longest:
            self.fail(f"{value} is out of range", param)
        return given


class Instant(click.ParamType[int]):
    """A time such as `2026-11-23` or `2026-11-23T04:00Z`, or a duration ago: `24h`, `7d`.

    UTC unless the text has an offset. Becomes epoch milliseconds.
    """

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return epoch_ms(_moment(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a time like 2026-11-23, 2026-11-23T04:00Z, 24h or 7d", param
            )


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        return datetime.now(UTC) - duration(text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def http_url(text: str) -> "httpx2.URL | None":
    """None for a URL that no request can go to: the client would fail late, in its own ways."""
    import httpx2

    try:
        url = httpx2.URL(text)
        usable = url.scheme in ("http", "https") and url.host and 0 <= (url.port or 0) <= 65535
    except (httpx2.InvalidURL, ValueError):  # such as a name that is no IDNA
        return None
    return url if usable else None
