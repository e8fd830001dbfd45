"""The criteria, each from what Prometheus answers to a row."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from gateway.cli.gate.prometheus import Series
from gateway.cli.gate.verdicts import Criterion, Unit, Verdict, enough, share

REPLICAS = Criterion("replicas scraped", "all of", 0, Unit.REPLICAS, 1)
ERRORS = Criterion("error rate", "at most", 0.01, Unit.RATIO, enough(100))
MINUTES = Criterion("minutes of 5xx in a row", "under", 3, Unit.MINUTES, 3)
LIGHT = Criterion("light endpoints, p99", "at most", 0.05, Unit.SECONDS, enough(100))
WEBHOOK = Criterion("webhook.save, p95", "at most", 1.2, Unit.SECONDS, enough(20))
# A peak between two scrapes goes unseen; ten scrapes are more than a moment.
MEMORY = Criterion("resident memory", "under", 150e6, Unit.BYTES, 10)
# CPU time comes in ticks of 10 ms: 300 requests of 0.6 ms are 18 of them.
CPU = Criterion("CPU against baseline", "under", 3, Unit.TIMES, 300)


class Load(NamedTuple):
    """What a window took: CPU seconds and requests, and how many seconds it lasted."""

    cpu: float
    requests: float
    seconds: float


def total(counted: list[Series]) -> float:
    return math.fsum(series.number for series in counted)


def replicas(up: list[Series]) -> Criterion:
    """Every replica is scraped when the window ends: what Prometheus cannot see may be bad."""
    away = [series.replica for series in up if series.number != 1]
    note = f"not scraped: {', '.join(away)}" if away else ""
    return Criterion(
        *(REPLICAS.criterion, REPLICAS.limit, len(up), REPLICAS.unit, REPLICAS.minimum),
        measured=len(up) - len(away),
        samples=len(up),
        verdict=Verdict.NOT_JUDGED if away or not up else Verdict.PASSED,
        note=note if up else "none is scraped any more",
    )


def error_rate(requests: float, errors: float) -> Criterion:
    """At most one request in a hundred is answered 5xx."""
    answered, failed = round(requests), round(errors)
    verdict = share(failed, answered, one_in=100)
    rate = failed / answered if answered else None
    return ERRORS.judged(rate, answered, verdict, f"{failed:,} answers of 5xx")


def errors_in_a_row(
    errors: list[Series], unseen: list[Series], minutes: range, watched: int
) -> Criterion:
    """No three minutes of the clock in a row have each seen a 5xx. A shorter window cannot tell.

    A 5xx belongs to the minute of the scrape that saw it. After a time without scrapes it may
    be of any minute since the scrape before, among the `minutes` of the window.
    """
    gaps = {series.replica: _minutes(series) for series in unseen}
    seen = [(gaps.get(one.replica, set()), minute) for one in errors for minute in _minutes(one)]
    row = _longest(minute for gap, minute in seen if minute not in gap)
    possible = (_since_scrape(minute, gap, minutes) for gap, minute in seen)
    doubtful = row < MINUTES.threshold <= _longest(one for many in possible for one in many)
    verdict = Verdict.NOT_JUDGED if doubtful else Verdict.PASSED
    if watched < MINUTES.minimum:
        verdict = Verdict.TOO_FEW
    if row >= MINUTES.threshold:
        verdict = Verdict.FAILED
    note = "5xx came between scrapes that are minutes apart" if doubtful else ""
    return MINUTES.judged(row if watched else None, watched, verdict, note)


def latency(
    row: Criterion, buckets: list[Series], quantile: list[Series], *, one_in: int
) -> Criterion:
    """One in `one_in` may take longer than the threshold, which must be an edge of a bucket.

    Judged by counts. The quantile that is shown is a guess within its bucket, but
    always on the same side of the edge.
    """
    counts: dict[float, float] = defaultdict(float)
    for bucket in buckets:
        counts[float(bucket.metric["le"])] += bucket.number
    observed, within = round(counts.pop(math.inf, 0)), counts.get(row.threshold)
    if not observed:
        return row
    # histogram_quantile() returns the last edge for all that is above it.
    above = observed - max(counts.values(), default=0) > observed / one_in
    measured = math.inf if above else total(quantile)
    if within is None:
        note = f"no bucket ends at {row.threshold} s"
        return row.judged(measured, observed, Verdict.NOT_JUDGED, note)
    slow = observed - round(within)
    verdict = share(slow, observed, one_in=one_in)
    return row.judged(measured, observed, verdict, f"{slow:,} were slower")


def memory(peaks: list[Series], scrapes: float) -> Criterion:
    """No scrape of any replica saw the limit reached."""
    if not peaks:
        return MEMORY
    peak, replica = max((series.number, series.replica) for series in peaks)
    scarce = Verdict.TOO_FEW if scrapes < MEMORY.minimum else Verdict.PASSED
    verdict = Verdict.FAILED if peak >= MEMORY.threshold else scarce
    return MEMORY.judged(peak, round(scrapes), verdict, f"most: {replica}")


def cpu(now: Load, before: Load) -> Criterion:
    """CPU time stays under three times the baseline's, by the second or by the request.

    The lesser of the two: more requests may take more, and in a quiet hour
    each request carries what an idle process takes.
    """
    samples = round(min(now.requests, before.requests))
    if not (now.cpu and before.cpu and samples):
        note = "no baseline: Prometheus holds nothing of it" if not before.cpu else ""
        return CPU.judged(None, samples, Verdict.TOO_FEW, note)
    use, requests = now.cpu / before.cpu, now.requests / before.requests
    measured = min(use * before.seconds / now.seconds, use / requests)
    each, base = (1000 * load.cpu / load.requests for load in (now, before))
    verdict = Verdict.PASSED if measured < CPU.threshold else Verdict.FAILED
    if samples < CPU.minimum:
        verdict = Verdict.TOO_FEW
    return CPU.judged(
        measured, samples, verdict, f"{each:.2f} ms a request, baseline {base:.2f} ms"
    )


def _minutes(series: Series) -> set[int]:
    return {round(at / 60) for at, _ in series.values}


def _since_scrape(minute: int, unseen: set[int], minutes: range) -> Iterable[int]:
    """The minutes from the last scrape before a gap, up to this one."""
    since = minute
    while since in unseen and since - 1 in minutes:
        since -= 1
    return range(since, minute + 1)


def _longest(minutes: Iterable[int]) -> int:
    """How many of them follow one another at most."""
    every, length, best = set(minutes), 0, 0
    for minute in sorted(every):
        length = length + 1 if minute - 1 in every else 1
        best = max(best, length)
    return best
