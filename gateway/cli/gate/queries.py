"""The PromQL about one job in one window. Prometheus counts; nothing here sees a raw sample.

increase() alone would stretch what it saw over the window, lose what was counted between the
last scrape before the window and the first inside, and lose what a series had counted by its first
scrape. Over a subquery whose points fall on both ends of the window it does neither, and a series
counts from zero where it is known to have been zero.
"""

import json
import math
from typing import NamedTuple

# Of each window; 1 s at the default of 15 minutes.
MOST_POINTS = 900
# Up to this many seconds between scrapes it is certain in which minute a 5xx was seen: one scrape
# a minute, and its jitter.
CERTAIN = 61


class Window(NamedTuple):
    """The last `seconds` before `end`, which is in seconds since 1970."""

    end: float
    seconds: float

    @classmethod
    def until(cls, now: float, seconds: float) -> "Window":
        """Up to the last point of a subquery."""
        step = cls(now, seconds).step
        return cls(now // step * step, seconds)

    @property
    def start(self) -> float:
        return self.end - self.seconds

    @property
    def minutes(self) -> range:
        """The minutes of the clock that it touches, each named by its end in minutes since 1970."""
        return range(math.floor(self.start / 60) + 1, math.ceil(self.end / 60) + 1)

    @property
    def step(self) -> int:
        """Seconds between the points of a subquery, which fall on its multiples."""
        return max(1, math.ceil(self.seconds / MOST_POINTS))


class Queries:
    """Asked when the window ends, but those by minutes when its last minute does."""

    def __init__(self, job: str, window: Window) -> None:
        self._job, self._window = job, window
        # Without its first instant, in every version of Prometheus; subqueries are to have theirs.
        milliseconds = max(2, round(window.seconds * 1000))
        self._range = f"[{milliseconds - 1}ms]"
        self._points = f"[{milliseconds + 1}ms:{window.step}s]"
        self._minutes = f"[{len(window.minutes) * 60 - 30}s:1m]"
        self._up = self.series("up")
        process_start = self.series("process_start_time_seconds")
        self._began = f"last_over_time({process_start}{self._range} @ {window.end:.3f})"

    def series(self, metric: str, *matchers: str) -> str:
        # JSON's escapes are among PromQL's as long as letters beyond ASCII stay as they are.
        chosen = ",".join((f"job={json.dumps(self._job, ensure_ascii=False)}", *matchers))
        return f"{metric}{{{chosen}}}"

    def over(self, function: str, metric: str) -> str:
        return f"{function}({self.series(metric)}{self._range})"

    def counted(self, metric: str, *matchers: str) -> str:
        """What each series counted in the window, through restarts.

        It was zero while it was not there although its replica was scraped, and before the
        process of the replica began.
        """
        series = self.series(metric, *matchers)
        last = f"last_over_time({series}{self._range} @ {self._window.end:.3f})"
        is_zero = f"({self._up} == 1 or {self._began} > time())"
        zero = f"0 * {last} and on (instance) {is_zero}"
        return f"increase(({series} + 0 or {zero}){self._points})"

    def minutes_scraped(self) -> str:
        return f"(sum(sum_over_time({self._up}[1m])) > 0){self._minutes}"

    def minutes_of(self, metric: str, *matchers: str) -> str:
        """The minutes of the clock in which each replica was seen to count, in the window.

        The first scrape of a replica that began before the window does not count: it is unknown
        when that replica counted.
        """
        series, start = self.series(metric, *matchers), self._window.start
        before = f"last_over_time({series}{self._range} offset 1m)"
        at_start = f"last_over_time({series}[5m] @ {start:.3f})"
        risen = f"{series} > 0 unless {series} == {before} unless {series} == {at_start}"
        known = f"{self._scraped_before()} or {self._began} > {start:.3f}"
        return f"(group by (instance) (({risen}) and on (instance) ({known}))){self._minutes}"

    def minutes_unseen(self) -> str:
        """The minutes in which each replica was not scraped for too long at some time."""
        recent = f"sum_over_time({self._up}[{CERTAIN * 1000 - 1}ms]) > 0"
        seen = f"count_over_time(({recent})[59999ms:1s]) == 60"
        unseen = f"{self._scraped_before()} unless {seen}"
        return f"(group by (instance) ({unseen})){self._minutes}"

    def _scraped_before(self) -> str:
        return f"sum_over_time({self._up}{self._range} offset 1m) > 0"
