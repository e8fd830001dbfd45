"""Points in time as the command line takes them."""

import click
import pytest

from gateway.cli.options import Instant


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
def test_a_time_that_is_none_in_utc_is_refused(text: str) -> None:
    """What is recorded of a reading could not name it."""
    with pytest.raises(click.BadParameter, match="is no time like"):
        Instant().convert(text, None, None)
