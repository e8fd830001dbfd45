"""The criteria that are a share, a peak or a comparison, each from samples to a row."""

import math
from typing import NamedTuple

from gateway.cli.gate.prometheus import Series
from gateway.cli.gate.samples import Buckets, Counter, Window
from gateway.cli.gate.verdicts import Criterion, Unit, Verdict, enough, share

MEMORY_LIMIT = 150e6
# A peak between two scrapes goes unseen; ten scrapes are more than a moment.
MEMORY_SCRAPES = 10
CPU_LIMIT = 3
# CPU time comes in ticks of 10 ms: 300 requests of 0.6 ms are 18 of them.
CPU_REQUESTS = 300


class Load(NamedTuple):
    """What a window took: CPU seconds and requests, in so many seconds."""

    cpu: float
    requests: float
    seconds: float


def replicas(up: list[Series]) -> Criterion:
    """Every replica is scraped when the window ends: what Prometheus cannot see may be bad."""
    away = [_replica(series) for series in up if series.samples[-1].value != 1]
    note = f"not scraped: {', '.join(away)}" if away else ""
    return Criterion(
        criterion="replicas scraped",
        limit="all of",
        threshold=len(up),
        measured=len(up) - len(away),
        unit=Unit.REPLICAS,
        samples=len(up),
        minimum=1,
        verdict=Verdict.NOT_JUDGED if away or not up else Verdict.PASSED,
        note=note if up else "none is scraped any more",
    )


def error_rate(requests: list[Counter], errors: list[Counter]) -> Criterion:
    """At most one request in a hundred is answered 5xx."""
    total = round(sum(counter.total for counter in requests))
    failed = round(sum(counter.total for counter in errors))
    return Criterion(
        criterion="error rate",
        limit="at most",
        threshold=0.01,
        measured=failed / total if total else None,
        unit=Unit.RATIO,
        samples=total,
        minimum=enough(100),
        verdict=share(failed, total, one_in=100),
        note=f"{failed:,} answers of 5xx",
    )


def latency(name: str, times: Buckets, *, limit: float, one_in: int) -> Criterion:
    """One in so many may take longer than `limit` seconds, which must be an edge of a bucket.

    Judged by counts. The quantile that is shown is a guess within its bucket, but
    always on the same side of the edge.
    """
    total, within = round(times.total), times.within(limit)
    if within is None:
        verdict = Verdict.NOT_JUDGED if total else Verdict.TOO_FEW
        note = f"no bucket ends at {limit} s" if total else ""
    else:
        slow = total - round(within)
        verdict, note = share(slow, total, one_in=one_in), f"{slow:,} were slower"
    return Criterion(
        criterion=name,
        limit="at most",
        threshold=limit,
        measured=times.slowest_of(one_in - 1, one_in),
        unit=Unit.SECONDS,
        samples=total,
        minimum=enough(one_in),
        verdict=verdict,
        note=note,
    )


def memory(resident: list[Series], window: Window) -> Criterion:
    """No scrape of any replica saw the limit reached."""
    seen = [
        (sample.value, _replica(series))
        for series in resident
        for sample in series.samples
        if window.holds(sample)
    ]
    peak, replica = max(seen, default=(-math.inf, ""))
    scarce = Verdict.TOO_FEW if len(seen) < MEMORY_SCRAPES else Verdict.PASSED
    return Criterion(
        criterion="resident memory",
        limit="under",
        threshold=MEMORY_LIMIT,
        measured=peak if seen else None,
        unit=Unit.BYTES,
        samples=len(seen),
        minimum=MEMORY_SCRAPES,
        verdict=Verdict.FAILED if peak >= MEMORY_LIMIT else scarce,
        note=f"most: {replica}" if seen else "",
    )


def cpu(now: Load, before: Load) -> Criterion:
    """CPU time stays under three times the baseline's, by the second or by the request.

    The lesser of the two: more requests may take more, and in a quiet hour
    each request carries what an idle process takes.
    """
    samples, measured = round(min(now.requests, before.requests)), None
    note = "no baseline: Prometheus holds nothing of it" if not before.cpu else ""
    if now.cpu and before.cpu and samples:
        use, requests = now.cpu / before.cpu, now.requests / before.requests
        measured = min(use * before.seconds / now.seconds, use / requests)
        each, base = (1000 * load.cpu / load.requests for load in (now, before))
        note = f"{each:.2f} ms a request, baseline {base:.2f} ms"
    verdict = Verdict.TOO_FEW
    if measured is not None and samples >= CPU_REQUESTS:
        verdict = Verdict.PASSED if measured < CPU_LIMIT else Verdict.FAILED
    return Criterion(
        criterion="CPU against baseline",
        limit="under",
        threshold=CPU_LIMIT,
        measured=measured,
        unit=Unit.TIMES,
        samples=samples,
        minimum=CPU_REQUESTS,
        verdict=verdict,
        note=note,
    )


def _replica(series: Series) -> str:
    return series.labels.get("instance", "?")
