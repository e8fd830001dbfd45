"""RFC 3339 timestamps in UTC with milliseconds, and epoch milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(epoch_ms: int) -> str:
    """Such as 2026-11-23T04:00:00.000Z. Raises ValueError or OverflowError beyond year 9999."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_timestamp(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else timestamp(epoch_ms)


def epoch_ms(moment: datetime) -> int:
    """`moment` must have a time zone."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
