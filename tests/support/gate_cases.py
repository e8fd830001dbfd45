"""Histories of jobs, each with what differs from a healthy one and the rows that must not pass.

The numbers stand on both sides of every threshold.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tests.support.prometheus import Count, History, once

Counts = dict[str, Count]

ROWS = {
    "replicas": "replicas scraped",
    "errors": "error rate",
    "row": "minutes of 5xx in a row",
    "light": "light endpoints, p99",
    "webhook": "webhook.save, p95",
    "memory": "resident memory",
    "cpu": "CPU against baseline",
}


def requests(
    status: str, count: Count, endpoint: str = "/actions/preview", method: str = "POST"
) -> Counts:
    labels = f'endpoint="{endpoint}",method="{method}",status_code="{status}"'
    return {f"http_requests_total{{{labels}}}": count}


def light(fast: Count, every: Count, endpoint: str = "/runs/{run_id}") -> Counts:
    """`fast`: how many took at most 50 ms."""
    name = f'http_request_duration_seconds_bucket{{endpoint="{endpoint}",method="GET"'
    counts = {"0.025": 0, "0.05": fast, "0.1": every, "+Inf": every}
    return {f'{name},le="{edge}"}}': count for edge, count in counts.items()}


def webhook(
    fast: Count, every: Count, action: str = "webhook.save", *, last: Count | None = None
) -> Counts:
    """`fast`: how many took at most 1.2 s. `last`: how many with those above 2.5 s."""
    name = f'action_latency_seconds_bucket{{provider="independent",action="{action}"'
    counts = {"0.5": 0, "1.2": fast, "2.5": every, "+Inf": every if last is None else last}
    return {f'{name},le="{edge}"}}': count for edge, count in counts.items()}


HEALTHY: Counts = {
    **requests("200", 100),
    **light(100, 100),
    **webhook(10, 10),
    "process_cpu_seconds_total": 0.06,
    # What must not count: failing probes, slow executions, slow actions of another kind.
    **requests("503", 100, endpoint="/ready"),
    **light(0, 100, endpoint="/actions/execute"),
    **webhook(0, 10, action="mail.send"),
}
GAUGES: Counts = {"up": 1, "process_resident_memory_bytes": 100e6}


def burst(minute_count: float, failed: float = 0) -> Counts:
    """All requests of the window in one minute, and as many in one of the baseline."""
    good = minute_count - failed
    both = {8: good, 22: minute_count}
    bad = requests("503", once(8, by=failed))
    return requests("200", lambda ago: both.get(ago, 0)) | bad


def step(times: float) -> Count:
    """So much more than before; nothing while the window's start goes by."""
    return lambda ago: 0 if 13 <= ago <= 16 else 1 if ago > 16 else times


class Case(NamedTuple):
    """What differs from a healthy job, and the rows that do not pass then."""

    name: str
    counters: Counts
    rows: Mapping[str, str] = MappingProxyType({})
    gauges: Mapping[str, Count] = MappingProxyType({})
    minutes: int = 40


CASES = [
    Case("healthy", {}),
    Case("0.99 % of 5xx", burst(10_000, 99)),
    Case("1 % of 5xx", burst(10_000, 100)),
    Case("1.01 % of 5xx", burst(10_000, 101), {"errors": "fail"}),
    Case("599 is 5xx too", requests("599", once(8, by=500)), {"errors": "fail"}),
    Case("4xx and 499 are no errors", requests("499", 50) | requests("404", 50)),
    Case("299 requests", burst(299), {"errors": "too few samples", "cpu": "too few samples"}),
    Case("300 requests", burst(300)),
    Case("few, but all bad", burst(5, 5), {"errors": "fail", "cpu": "too few samples"}),
    Case("2 minutes of 5xx", requests("500", once(9, 8))),
    Case("3 minutes of 5xx", requests("500", once(9, 8, 7)), {"row": "fail"}),
    Case("2 minutes twice", requests("500", once(9, 8, 6, 5))),
    Case(
        "3 minutes on two routes",
        requests("500", once(9, 7)) | requests("500", once(8), "/runs"),
        {"row": "fail"},
    ),
    Case("3 minutes before the window", requests("500", once(22, 21, 20))),
    Case("49 ms", light(9_910, 10_000)),
    Case("50 ms", light(9_900, 10_000)),
    Case("51 ms", light(9_890, 10_000), {"light": "fail"}),
    Case("299 light", light(once(8, by=299), once(8, by=299)), {"light": "too few samples"}),
    Case("300 light", light(once(8, by=300), once(8, by=300))),
    Case("1.19 s", webhook(952, 1_000)),
    Case("1.2 s", webhook(950, 1_000)),
    Case("1.21 s", webhook(948, 1_000), {"webhook": "fail"}),
    Case("above all buckets", webhook(900, 900, last=1_000), {"webhook": "fail"}),
    Case("59 webhooks", webhook(once(8, by=59), once(8, by=59)), {"webhook": "too few samples"}),
    Case("60 webhooks", webhook(once(8, by=60), once(8, by=60))),
    Case("149.9 MB", {}, gauges={"process_resident_memory_bytes": 149.9e6}),
    Case("150 MB", {}, {"memory": "fail"}, {"process_resident_memory_bytes": 150e6}),
    Case(
        "a peak of 150 MB",
        {},
        {"memory": "fail"},
        {"process_resident_memory_bytes": lambda ago: 150e6 if ago == 8 else 100e6},
    ),
    Case(
        "memory not told",
        {},
        {"memory": "too few samples"},
        {"process_resident_memory_bytes": float("nan")},
    ),
    Case("twice the CPU", {"process_cpu_seconds_total": step(2)}),
    Case("4 times the CPU", {"process_cpu_seconds_total": step(4)}, {"cpu": "fail"}),
    Case("no baseline", {}, {"cpu": "too few samples"}, minutes=10),
    Case("away", {}, {"replicas": "not judged"}, {"up": lambda ago: 0 if ago < 2 else 1}),
    Case(
        "away and failing",
        requests("500", once(9, 8, 7)),
        {"replicas": "not judged", "row": "fail"},
        {"up": lambda ago: 0 if ago < 2 else 1},
    ),
]


def history() -> History:
    """Every case is a job of its own."""
    past = History(ahead=120)
    for case in CASES:
        counters, gauges = {**HEALTHY, **case.counters}, {**GAUGES, **case.gauges}
        past.replica(case.name, counters, gauges, minutes=case.minutes)
    for instance, memory in (("10.0.0.1:8000", 100e6), ("[/b]", 120e6)):
        gauges = {"up": 1, "process_resident_memory_bytes": memory}
        past.replica("two replicas", HEALTHY, gauges, instance=instance)
    return past
