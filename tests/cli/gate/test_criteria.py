"""The criteria on numbers: neighbours that a history of scrapes cannot hit exactly."""

import math

import pytest

from gateway.cli.gate import criteria
from gateway.cli.gate.criteria import Load, cpu, errors_in_a_row, latency, memory, replicas
from gateway.cli.gate.prometheus import Series
from gateway.cli.gate.verdicts import share

BASE = Load(cpu=6, requests=6_000, seconds=900)


@pytest.mark.parametrize(
    ("load", "measured", "verdict"),
    [
        (Load(17.94, 6_000, 900), 2.99, "pass"),
        (Load(18, 6_000, 900), 3, "fail"),
        (Load(18.06, 6_000, 900), 3.01, "fail"),
        # Ten times the requests may take ten times the time.
        (Load(179.4, 60_000, 900), 2.99, "pass"),
        (Load(180.6, 60_000, 900), 3.01, "fail"),
        # A tenth of the requests: what the idle process takes is not held against them.
        (Load(5, 600, 900), 0.833, "pass"),
        (Load(18.06, 600, 900), 3.01, "fail"),
        # A third of the time.
        (Load(5.98, 600, 300), 2.99, "pass"),
        (Load(6.02, 600, 300), 3.01, "fail"),
        (Load(6, 299, 900), 1, "too few samples"),
        (Load(6, 300, 900), 1, "pass"),
        (Load(0, 6_000, 900), None, "too few samples"),
    ],
)
def test_cpu_is_compared_by_time_and_by_request(
    load: Load, measured: float | None, verdict: str
) -> None:
    """The lesser of the two ratios must stay under three."""
    row = cpu(load, BASE)
    assert row.measured == (measured and pytest.approx(measured, abs=0.001))
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("base", "verdict"),
    [
        (Load(6, 300, 900), "pass"),
        (Load(6, 299, 900), "too few samples"),
        (Load(6, 0, 900), "too few samples"),
        (Load(0, 6_000, 900), "too few samples"),
        (Load(0, 0, 900), "too few samples"),
    ],
)
def test_cpu_needs_a_baseline_with_requests(base: Load, verdict: str) -> None:
    """Without one it is not a pass."""
    assert cpu(Load(6, 300, 900), base).verdict == verdict


def replica(name: str, value: float) -> Series:
    return Series({"instance": name}, (1, str(value)))


@pytest.mark.parametrize(
    ("megabytes", "scrapes", "verdict"),
    [
        (149.9, 10, "pass"),
        (149.9, 9, "too few samples"),
        (150, 10, "fail"),
        (150, 1, "fail"),
        (None, 10, "too few samples"),
    ],
)
def test_memory_takes_ten_scrapes_in_the_window(
    megabytes: float | None, scrapes: int, verdict: str
) -> None:
    """One that is too high is enough to fail."""
    peaks = [] if megabytes is None else [replica("a", megabytes * 1e6)]
    assert memory(peaks, scrapes).verdict == verdict


def test_memory_is_the_highest_of_all_replicas() -> None:
    """And says whose it was."""
    row = memory([replica("a", 100e6), replica("b", 151e6)], 11)
    assert (row.measured, row.samples, row.verdict, row.note) == (151e6, 11, "fail", "most: b")


@pytest.mark.parametrize(
    ("bad", "total", "verdict"),
    [
        (0, 0, "too few samples"),
        (0, 299, "too few samples"),
        (3, 299, "too few samples"),
        (4, 299, "fail"),
        (4, 4, "fail"),
        (3, 300, "pass"),
        (4, 300, "fail"),
        (7, 700, "pass"),
        (8, 700, "fail"),
    ],
)
def test_a_share_needs_three_times_as_many_samples(bad: int, total: int, verdict: str) -> None:
    """It fails on fewer when those that are missing could not make up for the bad ones."""
    assert share(bad, total, one_in=100) == verdict


def buckets(*counts: tuple[str, float]) -> list[Series]:
    return [Series({"le": edge}, (1, str(count))) for edge, count in counts]


@pytest.mark.parametrize(
    ("edge", "verdict", "note"),
    [("0.05", "pass", "0 were slower"), ("0.025", "not judged", "no bucket ends at 0.05 s")],
)
def test_a_latency_needs_a_bucket_at_its_limit(edge: str, verdict: str, note: str) -> None:
    """Without one the share within the limit is not known."""
    counts = buckets((edge, 1_000), ("+Inf", 1_000))
    row = latency(criteria.LIGHT, counts, [replica("", 0.02)], one_in=100)
    assert (row.verdict, row.note) == (verdict, note)


def test_a_latency_without_buckets_has_too_few_samples() -> None:
    """Nothing was observed."""
    row = latency(criteria.LIGHT, [], [], one_in=100)
    assert (row.verdict, row.measured, row.samples) == ("too few samples", None, 0)


@pytest.mark.parametrize(("finite", "measured"), [(989, math.inf), (990, 0.1), (1_000, 0.1)])
def test_above_the_last_edge_a_quantile_is_infinite(finite: int, measured: float) -> None:
    """Prometheus would say: the last edge."""
    counts = buckets(("0.05", 900), ("0.1", finite), ("+Inf", 1_000))
    assert latency(criteria.LIGHT, counts, [replica("", 0.1)], one_in=100).measured == measured


def test_one_edge_may_be_written_in_two_ways() -> None:
    """Buckets of one edge add up."""
    counts = buckets(("0.05", 400), ("0.050", 600), ("+Inf", 500), ("+Inf", 500))
    row = latency(criteria.LIGHT, counts, [replica("", 0.02)], one_in=100)
    assert (row.samples, row.note) == (1_000, "0 were slower")


def minutes(name: str, *ends: int) -> Series:
    return Series({"instance": name}, values=[(60 * end, "1") for end in ends])


@pytest.mark.parametrize(
    ("seen", "unseen", "measured", "verdict"),
    [
        ([11, 12, 13], [], 3, "fail"),
        ([11, 12, 14], [], 2, "pass"),
        ([11, 13, 15], [], 1, "pass"),
        # One 5xx that may have come in any of four minutes, or of two.
        ([14], [12, 13, 14], 0, "not judged"),
        ([13], [13], 0, "pass"),
        ([13], [10, 11], 1, "pass"),
        ([11, 13], [13], 1, "not judged"),
        # Only the part inside the window can have been in it.
        ([11], [8, 9, 10, 11], 0, "pass"),
    ],
)
def test_a_5xx_after_a_time_without_scrapes_is_a_doubt(
    seen: list[int], unseen: list[int], measured: int, verdict: str
) -> None:
    """It may have been in any of several minutes, which is not a pass."""
    row = errors_in_a_row([minutes("a", *seen)], [minutes("a", *unseen)], range(10, 25), 15)
    assert (row.measured, row.verdict) == (measured, verdict)


def test_scrapes_of_another_replica_are_no_doubt() -> None:
    """What it did not show does not count against the first."""
    row = errors_in_a_row([minutes("a", 14)], [minutes("b", 12, 13, 14)], range(10, 25), 15)
    assert row.verdict == "pass"


def test_no_replica_at_the_end_is_not_a_pass() -> None:
    """An empty vector is not the number of those that are well."""
    up = [replica("a", 1), replica("b", 0)]
    assert [(row.verdict, row.note) for row in map(replicas, (up[:1], up, []))] == [
        ("pass", ""),
        ("not judged", "not scraped: b"),
        ("not judged", "none is scraped any more"),
    ]
    assert replicas(up).measured == 1
