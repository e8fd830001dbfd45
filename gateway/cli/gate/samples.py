"""What counters counted in a window, from every sample that Prometheus holds.

PromQL's increase() would estimate: it stretches what it saw over the window, and it loses what
a series had counted by its first scrape, which is how the first 5xx of a replica comes.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

from gateway.cli.gate.prometheus import Sample, Series


class Window(NamedTuple):
    """From after `start` to `end`, in seconds since 1970."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def holds(self, sample: Sample) -> bool:
        return self.start < sample.at <= self.end


class Rise(NamedTuple):
    """`by` was counted after `since` and seen by the scrape at `seen`."""

    since: float
    seen: float
    by: float


class Counter(NamedTuple):
    labels: dict[str, str]
    rises: list[Rise]

    @property
    def total(self) -> float:
        return math.fsum(rise.by for rise in self.rises)


class Scrapes:
    """When each replica was scraped with success, and when its process began.

    `up` and `began` are of the same time as the counters that are read with them.
    """

    def __init__(self, up: list[Series], began: list[Series], window: Window) -> None:
        self._window = window
        self._began = {_replica(series): series.samples for series in began}
        self._times = {
            _replica(series): [sample.at for sample in series.samples if sample.value == 1]
            for series in up
        }

    @property
    def times(self) -> list[float]:
        """In the window, over all replicas."""
        every = (at for times in self._times.values() for at in times)
        return sorted(at for at in every if self._window.start < at <= self._window.end)

    def counter(self, series: Series) -> Counter:
        return Counter(series.labels, list(self._rises(series)))

    def _rises(self, series: Series) -> Iterator[Rise]:
        zero = self._zero(series)
        before = series.samples[0] if zero is None else Sample(zero, 0.0)
        for sample in series.samples:
            # Less than before: the process began anew, and counts from zero.
            fallen = sample.value < before.value
            by = sample.value - (0.0 if fallen else before.value)
            if by and self._window.holds(sample):
                yield Rise(before.at, sample.at, by)
            before = sample

    def _zero(self, series: Series) -> float | None:
        """When the series was zero before its first sample; None when that is not known."""
        replica, first = _replica(series), series.samples[0].at
        if earlier := [at for at in self._times.get(replica, []) if at < first]:
            return earlier[-1]
        known = takewhile(lambda sample: sample.at <= first, self._began.get(replica, []))
        began = max((sample.value for sample in known), default=-math.inf)
        return began if began > self._window.start else None


def _replica(series: Series) -> str:
    return series.labels.get("instance", "")


class Buckets:
    """A histogram over all its series. `total`: how many were observed."""

    def __init__(self, counters: list[Counter]) -> None:
        self._counts: dict[float, float] = defaultdict(float)
        for counter in counters:
            with suppress(ValueError):  # an edge that is no number is an edge of nothing
                self._counts[float(counter.labels.get("le", ""))] += counter.total
        self.total = self._counts.get(math.inf, 0.0)

    def within(self, edge: float) -> float | None:
        """How many took at most `edge`; None when no bucket ends there."""
        return self._counts.get(edge)

    def slowest_of(self, part: int, whole: int) -> float | None:
        """The quantile as histogram_quantile() tells it; infinite above the last edge."""
        if not self.total:
            return None
        rank = self.total * part / whole
        edge = min(edge for edge, count in self._counts.items() if count >= rank)
        lower = max((other for other in self._counts if other < edge), default=0.0)
        below = self._counts.get(lower, 0.0)
        return lower + (edge - lower) * (rank - below) / (self._counts[edge] - below)
