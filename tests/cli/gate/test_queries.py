"""What a real Prometheus answers to the queries, scrape by scrape."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from gateway.cli.gate.criteria import errors_in_a_row, total
from gateway.cli.gate.prometheus import Prometheus, Series
from gateway.cli.gate.queries import Queries, Window
from tests.support.prometheus import History, needs_prometheus, prometheus

pytestmark = needs_prometheus

# A full minute of the clock, so that the cases fall into the same minutes whenever they run.
NOW = time.time() // 60 * 60 - 60
WINDOW = Window(NOW, 900)
RHYTHM = [float(at) for at in range(-1800, 61, 30)]


class Counted(NamedTuple):
    """`steps`: what the counter is from a second on; None while the series is not there.

    `up`: when its replica is scraped. `began`: its process. Seconds before the end of the window.
    """

    name: str
    steps: dict[float, float | None]
    counts: float
    up: list[float] = RHYTHM
    began: float | None = None


LATE = [at for at in RHYTHM if at >= -300]
COUNTED = [
    Counted("inside", {-1800: 5, -450: 8, -30: 9}, 4),
    Counted("at the start", {-1800: 1, -900: 5, -600: 7}, 2),
    Counted("at the end", {-1800: 1, 0: 4, 30: 9}, 3),
    Counted("in the first interval", {-1800: 1, -870: 5}, 4),
    Counted("a restart", {-1800: 50, -600: 60, -300: 4, -150: 5}, 15),
    Counted("a series that comes later", {-1800: None, -300: 7, -150: 9}, 9),
    Counted("a replica that comes later", {-300: 7, -150: 9}, 9, up=LATE, began=-310),
    Counted("a replica that is older", {-300: 7, -150: 9}, 2, up=LATE, began=-901),
    Counted("a replica of unknown age", {-300: 7, -150: 9}, 2, up=LATE),
    Counted("a pause", {-1800: 1, -300: 8}, 7, up=[*RHYTHM[:37], *LATE]),
]


class Minutes(NamedTuple):
    """`seen`: the scrapes that see a 5xx more. The window begins at 600, with minute 10."""

    name: str
    scrapes: list[float]
    seen: list[float]
    measured: int
    verdict: str


def every_15(start: float, end: float) -> list[float]:
    return [start + 15 * n for n in range(int((end - start) // 15) + 1)]


ALL = every_15(5, 1490)
MINUTES = [
    Minutes("3 minutes", ALL, [665, 725, 785], 3, "fail"),
    Minutes("2 minutes twice", sorted([*ALL, 779.9, 841]), [665, 725, 779.9, 841], 2, "pass"),
    Minutes("far apart", sorted([*ALL, 659, 779]), [659, 779], 1, "pass"),
    # A minute and its jitter is a rhythm that tells; longer is not.
    Minutes(
        "61 s",
        [*every_15(0, 600), 661, 721.9, 781, *every_15(790, 1490)],
        [661, 721.9, 781],
        3,
        "fail",
    ),
    Minutes(
        "62 s",
        [*every_15(0, 600), 662, 722, 782, *every_15(790, 1490)],
        [662, 722, 782],
        2,
        "not judged",
    ),
    Minutes("3 minutes unseen", [*every_15(5, 620), 800, *ALL[54:]], [800], 0, "not judged"),
    Minutes("2 minutes unseen", [*every_15(0, 660), 779, *ALL[53:]], [779], 0, "pass"),
    Minutes("unseen without a 5xx", [*every_15(5, 620), 800, *ALL[54:]], [1100], 1, "pass"),
    # Only the part inside the window can have been in it.
    Minutes("unseen from before", [*every_15(0, 300), 700, *ALL[48:]], [700], 0, "pass"),
    Minutes("just before", ALL, [590, 605, 665], 2, "pass"),
    Minutes(
        "every 90 s",
        [90.0 * n for n in range(17)],
        [90.0 * n for n in range(8, 17)],
        0,
        "not judged",
    ),
]


def up(past: History, job: str, scrapes: list[float], base: float) -> None:
    for at in scrapes:
        past.write("up", f'job="{job}",instance="a"', 1, base + at)


def history() -> History:
    past = History()
    for case in COUNTED:
        labels = f'job="{case.name}",instance="a"'
        up(past, case.name, case.up, NOW)
        for at in case.up:
            value = [value for since, value in case.steps.items() if since <= at][-1]
            if value is not None:
                past.write("c", labels, value, NOW + at)
        for at in case.up if case.began else ():
            past.write("process_start_time_seconds", labels, NOW + (case.began or 0), NOW + at)
    for minutes in MINUTES:
        base = NOW - 1500
        up(past, minutes.name, minutes.scrapes, base)
        for at in minutes.scrapes:
            count = sum(seen <= at for seen in minutes.seen)
            past.write("c", f'job="{minutes.name}",instance="a"', count, base + at)
    return past


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("queries"), history=history()) as url:
        yield url


def ask(url: str, job: str, *queries: Callable[[Queries], str], at: float) -> list[list[Series]]:
    async def asked() -> list[list[Series]]:
        async with Prometheus(url) as prometheus:
            texts = [query(Queries(job, WINDOW)) for query in queries]
            return [await prometheus.ask(text, at=at) for text in texts]

    return asyncio.run(asked())


@pytest.mark.parametrize("case", COUNTED, ids=[case.name for case in COUNTED])
def test_a_window_counts(url: str, case: Counted) -> None:
    """Exactly what was counted in it, with nothing stretched and nothing lost."""
    (counted,) = ask(url, case.name, lambda queries: queries.counted("c"), at=NOW)
    assert total(counted) == pytest.approx(case.counts, rel=0.002)


@pytest.mark.parametrize("case", MINUTES, ids=[case.name for case in MINUTES])
def test_minutes_of_the_clock_are_judged(url: str, case: Minutes) -> None:
    """A 5xx that may have been in any of several minutes is a doubt, not a pass."""
    errors, unseen, scraped = ask(
        url,
        case.name,
        lambda queries: queries.minutes_of("c"),
        Queries.minutes_unseen,
        Queries.minutes_scraped,
        at=NOW,
    )
    row = errors_in_a_row(errors, unseen, WINDOW.minutes, len(scraped[0].values))
    assert (row.measured, row.verdict) == (case.measured, case.verdict)


def test_a_name_stays_inside_its_quotes() -> None:
    """Whatever the job's name."""
    assert Queries('a"\\\n☃', WINDOW).series("up") == 'up{job="a\\"\\\\\\n☃"}'
    assert Queries("a", WINDOW).series("up", 'b="c"') == 'up{job="a",b="c"}'


@pytest.mark.parametrize(("hours", "step"), [(0.01, 1), (0.25, 1), (0.2501, 2), (6, 24)])
def test_a_long_window_has_fewer_points(hours: float, step: int) -> None:
    """A subquery costs a point of each series at each step."""
    assert Window(NOW, hours * 3600).step == step
