"""Durations and points in time on the command line."""

from datetime import timedelta

import click
import pytest

from gateway.cli.options import Duration, Instant
from gateway.timestamps import duration


def test_times_are_utc_unless_they_say_else() -> None:
    moment = Instant()
    for text, epoch in (
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00:00", 3_600_000),
        ("1970-01-01T01:00:00.5Z", 3_600_500),
        ("1970-01-01T01:00+01:00", 0),
    ):
        assert moment.convert(text, None, None) == epoch
    ago = [moment.convert(text, None, None) for text in ("0s", "60m", "1h", "24h", "1d", "1w")]
    gaps = [round((ago[0] - each) / 3_600_000, 2) for each in ago]
    assert gaps == [0, 1, 1, 24, 24, 168]


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_a_time_outside_of_utc_is_refused(text: str) -> None:
    """What is recorded of a reading could not name it."""
    with pytest.raises(click.BadParameter, match="is not a time like"):
        Instant().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("1ms", 0.001), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800)],
        *[("1w", 604_800), ("1d1s5ms", 86_401.005), ("0s", 0)],
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    """Units in falling order, each at most once."""
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "15", "m", "15M", "-1s", "1.5m", "1m1h", "1m1m", " 1m", "1m\n", "٣m", "9" * 10 + "s"],
)
def test_other_text_is_not_a_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration like"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize("text", ["0s", "6h1ms"])
def test_a_duration_has_its_range(text: str) -> None:
    window = Duration(shortest=timedelta(milliseconds=1), longest=timedelta(hours=6))
    assert window.convert("6h", None, None) == timedelta(hours=6)
    with pytest.raises(click.BadParameter, match="out of range"):
        window.convert(text, None, None)
