"""The criterion of minutes on end that each saw a 5xx.

Minutes of the clock, so that a gate asked a moment later sees the same; those at the edges
count with their part inside the window. A 5xx belongs to the minute of the scrape that saw it.
"""

import math
from collections.abc import Iterable

from gateway.cli.gate.samples import Counter, Rise, Scrapes, Window
from gateway.cli.gate.verdicts import Criterion, Unit, Verdict

TOO_MANY = 3
# Up to here there is no doubt in which minute a 5xx was seen: a scrape a minute, and its jitter.
TELLING = 61.0


def errors_in_a_row(errors: list[Counter], scrapes: Scrapes, window: Window) -> Criterion:
    """No three minutes on end have each seen a 5xx. A shorter window cannot tell."""
    rises = [rise for counter in errors for rise in counter.rises]
    certain = _longest({_minute(rise.seen) for rise in rises if _tells(rise)})
    possible = _longest({minute for rise in rises for minute in _minutes(rise, window)})
    watched = min(len({_minute(at) for at in scrapes.times}), int(window.seconds / 60))
    doubt = "5xx came between scrapes that are minutes apart" if possible >= TOO_MANY else ""
    return Criterion(
        criterion="minutes of 5xx in a row",
        limit="under",
        threshold=TOO_MANY,
        measured=certain if watched else None,
        unit=Unit.MINUTES,
        samples=watched,
        minimum=TOO_MANY,
        verdict=_verdict(certain, possible, watched),
        note="" if certain == possible else doubt,
    )


def _verdict(certain: int, possible: int, watched: int) -> Verdict:
    if certain >= TOO_MANY:
        return Verdict.FAILED
    if watched < TOO_MANY:
        return Verdict.TOO_FEW
    return Verdict.PASSED if possible < TOO_MANY else Verdict.NOT_JUDGED


def _minute(at: float) -> int:
    return math.floor(at / 60)


def _tells(rise: Rise) -> bool:
    return rise.seen - rise.since <= TELLING


def _minutes(rise: Rise, window: Window) -> Iterable[int]:
    """Every minute in which it may have been."""
    since = rise.seen if _tells(rise) else max(rise.since, window.start)
    return range(_minute(since), _minute(rise.seen) + 1)


def _longest(minutes: set[int]) -> int:
    """How many of them follow one another at most."""
    length = best = 0
    for minute in sorted(minutes):
        length = length + 1 if minute - 1 in minutes else 1
        best = max(best, length)
    return best
