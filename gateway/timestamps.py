"""RFC 3339 timestamps in UTC with milliseconds, epoch milliseconds, and durations as text."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(epoch_ms: int) -> str:
    """Such as 2026-11-23T04:00:00.000Z. Raises ValueError or OverflowError beyond year 9999."""
    seconds, milliseconds = divmod(epoch_ms, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=16)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def optional_timestamp(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else timestamp(epoch_ms)


def epoch_ms(moment: datetime) -> int:
    """`moment` must have a time zone."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))


def duration(text: str) -> timedelta:
    """Parse `90s`, `24h`, `1h30m`, `500ms`. Raises ValueError and OverflowError."""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise ValueError(text)
    counts = (int(count or 0) for count in found.groups())
    return sum((n * unit for n, unit in zip(counts, _UNITS.values(), strict=True)), timedelta())
