"""What is counted in a window, sample by sample."""

import math

import pytest

from gateway.cli.gate.prometheus import Sample, Series
from gateway.cli.gate.samples import Buckets, Counter, Rise, Scrapes, Window

A = {"instance": "a"}
WINDOW = Window(100, 200)
# Scraped every 30 s since before the window.
SCRAPED = [70, 100, 130, 160, 190]


def series(*samples: tuple[float, float]) -> Series:
    return Series(A, [Sample(*sample) for sample in samples])


def rises(
    *samples: tuple[float, float],
    up: list[tuple[float, float]] | None = None,
    began: list[tuple[float, float]] | None = None,
) -> list[Rise]:
    times = [(at, 1) for at in SCRAPED] if up is None else up
    processes = [series(*began)] if began else []
    return Scrapes([series(*times)], processes, WINDOW).counter(series(*samples)).rises


def test_a_rise_is_between_two_samples() -> None:
    """Each with the time that it spans; what stays as it was is none."""
    assert rises((100, 5), (130, 5), (160, 8), (190, 9)) == [Rise(130, 160, 3), Rise(160, 190, 1)]


def test_what_was_seen_before_the_window_does_not_count() -> None:
    """A scrape at the very start belongs to the time before it; one at the end does not."""
    assert rises((70, 1), (100, 5), (130, 7)) == [Rise(100, 130, 2)]
    assert rises((70, 1), (100.001, 5)) == [Rise(70, 100.001, 4)]
    assert rises((190, 1), (200, 5), (200.001, 9), up=[(190, 1)]) == [Rise(190, 200, 4)]


def test_a_counter_that_falls_began_anew() -> None:
    """What the new process has counted counts, not the difference."""
    assert [rise.by for rise in rises((100, 50), (130, 60), (160, 4), (190, 5))] == [10, 4, 1]


def test_a_series_that_comes_later_counts_from_zero() -> None:
    """The replica was scraped before and had no such series."""
    assert rises((160, 7), (190, 9)) == [Rise(130, 160, 7), Rise(160, 190, 2)]


def test_a_replica_that_comes_later_counts_from_zero() -> None:
    """Its process began inside the window."""
    late = [(160.0, 1.0), (190.0, 1.0)]
    assert rises((160, 7), (190, 9), up=late, began=[(160, 150), (190, 150)]) == [
        Rise(150, 160, 7),
        Rise(160, 190, 2),
    ]


@pytest.mark.parametrize("began", [None, [(160.0, 99.0)], [(190.0, 180.0)]])
def test_a_replica_that_was_never_seen_before_does_not(
    began: list[tuple[float, float]] | None,
) -> None:
    """The time of what its first scrape shows is unknown."""
    late = [(130.0, 0.0), (160.0, 1.0), (190.0, 1.0)]
    assert rises((160, 7), (190, 9), up=late, began=began) == [Rise(160, 190, 2)]


def test_scrapes_are_those_that_succeeded_in_the_window() -> None:
    """Over all replicas, in order."""
    other = Series({"instance": "b"}, [Sample(110, 1), Sample(140, 0)])
    scrapes = Scrapes([series(*((at, 1) for at in SCRAPED)), other], [], WINDOW)
    assert scrapes.times == [110, 130, 160, 190]


def buckets(*counts: tuple[str, float]) -> Buckets:
    return Buckets([Counter({"le": edge}, [Rise(0, 1, by)]) for edge, by in counts])


@pytest.mark.parametrize(
    ("within", "p99"), [(9_899, 0.055), (9_900, 0.05), (9_901, 0.0499975), (9_990, 0.0497748)]
)
def test_a_quantile_is_on_the_side_of_the_edge_that_the_counts_are(
    within: float, p99: float
) -> None:
    """At the edge itself it is the edge."""
    times = buckets(("0.025", 0), ("0.05", within), ("0.1", within + 10), ("+Inf", 10_000))
    told = times.slowest_of(99, 100)
    assert told is not None
    assert (told <= 0.05) is (within >= 9_900)
    assert told == pytest.approx(p99, abs=1e-6)


def test_replicas_share_buckets() -> None:
    """Buckets of one edge add up, however the edge is written; what is no edge is left out."""
    times = buckets(("1.0", 1), ("1", 2), ("+Inf", 4), ("+Inf", 4), ("x", 9), ("", 9))
    assert (times.total, times.within(1), times.within(0.5)) == (8, 3, None)


def test_above_the_last_edge_a_quantile_is_infinite() -> None:
    """Prometheus would say: the last edge."""
    assert buckets(("1", 5), ("+Inf", 10)).slowest_of(99, 100) == math.inf
    assert buckets().slowest_of(99, 100) is None
