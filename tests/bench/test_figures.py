"""The arithmetic behind the tables."""

import pytest

from tests.bench.calibration import REFERENCE_SECONDS, calibrated, loop_seconds
from tests.bench.figures import Spread, percentile, ratios


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == (3.0, 1.0, 8.0)
    assert Spread.of([3.0, 1.0, 8.0, 5.0]).median == 4.0


def test_a_spread_shows_its_ends_only_if_they_differ() -> None:
    assert Spread.of([1234.4, 990.0, 1500.0]).text(0) == "1,234 (990-1,500)"
    assert Spread.of([2.5]).text(1) == "2.5"


@pytest.mark.parametrize(
    ("number", "share", "expected"),
    [(100, 0.5, 50), (100, 0.99, 99), (101, 0.99, 100), (99, 0.99, 99), (1, 0.99, 1), (2, 0.5, 1)],
)
def test_a_percentile_is_the_nearest_rank(number: int, share: float, expected: int) -> None:
    assert percentile([float(rank) for rank in range(1, number + 1)], share) == expected


def test_ratios_compare_within_a_round() -> None:
    """Noise that halves a whole round changes no ratio."""
    assert ratios([10.0, 5.0], [20.0, 10.0]) == [0.5, 0.5]


def test_rounds_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_cpu_time_of_a_slow_core_counts_less() -> None:
    """A core on which the loop takes twice as long does half as much in a second."""
    assert calibrated(1.0, REFERENCE_SECONDS) == 1.0
    assert calibrated(1.0, 2 * REFERENCE_SECONDS) == 0.5
    assert calibrated(1.0, REFERENCE_SECONDS / 2) == 2.0


def test_the_loop_takes_time_on_every_core() -> None:
    assert 0.0003 < loop_seconds(0) < 0.1
