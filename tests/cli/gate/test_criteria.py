"""The criteria on numbers: neighbours that a history of scrapes cannot hit exactly."""

import pytest

from gateway.cli.gate.criteria import Load, cpu, latency, memory, replicas
from gateway.cli.gate.minutes import errors_in_a_row
from gateway.cli.gate.prometheus import Sample, Series
from gateway.cli.gate.samples import Buckets, Counter, Rise, Scrapes, Window
from gateway.cli.gate.verdicts import share

WINDOW = Window(600, 1500)
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


def resident(*megabytes: float) -> list[Series]:
    return [Series({"instance": "a"}, [Sample(700, value * 1e6) for value in megabytes])]


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (resident(*[149.9] * 10), "pass"),
        (resident(*[149.9] * 9), "too few samples"),
        (resident(*[149.9] * 9, 150), "fail"),
        (resident(150), "fail"),
        (resident(), "too few samples"),
        ([], "too few samples"),
        ([Series({}, [Sample(600, 200e6), Sample(1501, 200e6)])], "too few samples"),
    ],
)
def test_memory_takes_ten_scrapes_in_the_window(seen: list[Series], verdict: str) -> None:
    """One that is too high is enough to fail."""
    assert memory(seen, WINDOW).verdict == verdict


def test_memory_is_the_highest_of_all_replicas() -> None:
    """And says whose it was."""
    other = Series({"instance": "b"}, [Sample(800, 151e6)])
    row = memory([*resident(*[100] * 10), other], WINDOW)
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


@pytest.mark.parametrize(
    ("edge", "verdict", "note"),
    [("0.05", "pass", "0 were slower"), ("0.025", "not judged", "no bucket ends at 0.05 s")],
)
def test_a_latency_needs_a_bucket_at_its_limit(edge: str, verdict: str, note: str) -> None:
    """Without one the share within the limit is not known."""
    rows = [Counter({"le": each}, [Rise(0, 1, 1_000)]) for each in (edge, "+Inf")]
    row = latency("light", Buckets(rows), limit=0.05, one_in=100)
    assert (row.verdict, row.note) == (verdict, note)


def test_a_latency_without_buckets_has_too_few_samples() -> None:
    """Nothing was observed."""
    row = latency("light", Buckets([]), limit=0.05, one_in=100)
    assert (row.verdict, row.measured, row.samples) == ("too few samples", None, 0)


@pytest.mark.parametrize(
    ("rises", "measured", "verdict"),
    [
        # Seconds of the clock: minute 10 is from 600 to 660.
        ([(650, 665), (710, 725), (770, 785)], 3, "fail"),
        ([(650, 665), (710, 725), (770, 779.9), (830, 841)], 2, "pass"),
        ([(650, 659), (770, 779)], 1, "pass"),
        # A minute and its jitter is a rhythm that tells; longer is not.
        ([(600, 661), (661, 721.9), (722, 781)], 3, "fail"),
        ([(600, 662), (662, 722), (722, 782)], 2, "not judged"),
        ([(620, 800)], 0, "not judged"),
        ([(660, 779)], 0, "pass"),
        # Only the part inside the window can have been in it.
        ([(300, 700)], 0, "pass"),
    ],
)
def test_minutes_in_a_row_are_those_of_the_clock(
    rises: list[tuple[float, float]], measured: int, verdict: str
) -> None:
    """A 5xx that may have been in any of several minutes is a doubt, not a pass."""
    up = Series({}, [Sample(at, 1) for at in range(600, 1500, 15)])
    errors = Counter({}, [Rise(since, seen, 1) for since, seen in rises])
    row = errors_in_a_row([errors], Scrapes([up], [], WINDOW), WINDOW)
    assert (row.measured, row.verdict) == (measured, verdict)


def test_no_replica_at_the_end_is_not_a_pass() -> None:
    """An empty vector is not the number of those that are well."""
    up = [Series({"instance": "a"}, [Sample(1, 1)]), Series({"instance": "b"}, [Sample(1, 0)])]
    assert [(row.verdict, row.note) for row in map(replicas, (up[:1], up, []))] == [
        ("pass", ""),
        ("not judged", "not scraped: b"),
        ("not judged", "none is scraped any more"),
    ]
    assert replicas(up).measured == 1
