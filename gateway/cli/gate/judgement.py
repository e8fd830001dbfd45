"""Ask Prometheus about one job and judge every criterion. The exit status says what came of it."""

import json
import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from gateway.cli.gate import criteria
from gateway.cli.gate.criteria import Load, total
from gateway.cli.gate.prometheus import Prometheus, Series, Unanswered
from gateway.cli.gate.queries import Queries, Window
from gateway.cli.gate.verdicts import Criterion, Verdict

# What answers without waiting for a target.
LIGHT = ("/actions", "/actions/preview", "/previews/{preview_id}", "/runs/{run_id}", "/version")
PROBES = ("/health", "/ready", "/metrics")
MEMORY = "process_resident_memory_bytes"


class Judgement(Struct, kw_only=True, frozen=True):
    """`until`: where the window ended, by the clock of Prometheus."""

    job: str
    window_seconds: float
    baseline_seconds: float
    until: datetime
    criteria: list[Criterion]

    @property
    def exit_status(self) -> int:
        """0: all pass. 1: one fails. 2: none fails, but one could not be judged."""
        verdicts = {criterion.verdict for criterion in self.criteria}
        if Verdict.FAILED in verdicts:
            return 1
        return 0 if verdicts == {Verdict.PASSED} else 2


class Seen:
    """What Prometheus saw of a job in a window."""

    def __init__(self, prometheus: Prometheus, job: str, window: Window) -> None:
        self._prometheus, self.window = prometheus, window
        self.queries = Queries(job, window)

    async def ask(self, query: str) -> list[Series]:
        return await self._prometheus.ask(query, at=self.window.end)

    async def sum(self, query: str) -> float:
        return total(await self.ask(f"sum({query})"))

    async def load(self) -> Load:
        cpu = await self.sum(self.queries.counted("process_cpu_seconds_total"))
        return Load(cpu, await self.sum(self.queries.counted(*_requests())), self.window.seconds)

    async def minutes(self) -> Criterion:
        minutes, ask = self.window.minutes, self._prometheus.ask
        errors, unseen, scraped = [
            await ask(query, at=minutes[-1] * 60)
            for query in (
                self.queries.minutes_of(*_requests('status_code=~"5.*"')),
                self.queries.minutes_unseen(),
                self.queries.minutes_scraped(),
            )
        ]
        watched = sum(len(series.values) for series in scraped)
        most = int(self.window.seconds / 60)
        return criteria.errors_in_a_row(errors, unseen, minutes, min(watched, most))

    async def latency(self, row: Criterion, metric: str, matcher: str, *, one_in: int) -> Criterion:
        buckets = f"sum by (le) ({self.queries.counted(metric, matcher)})"
        quantile = await self.ask(f"histogram_quantile(1 - 1 / {one_in}, {buckets})")
        return criteria.latency(row, await self.ask(buckets), quantile, one_in=one_in)


async def gate(url: str, job: str, *, window: timedelta, baseline: timedelta | None) -> Judgement:
    """`baseline`: the length of the time before the window; None: that of the window.

    Raises Unusable and Unanswered.
    """
    before = (baseline or window).total_seconds()
    async with Prometheus(url) as prometheus:
        now = Window.until(await prometheus.now(), window.total_seconds())
        seen = Seen(prometheus, job, now)
        if not await seen.sum(seen.queries.over("sum_over_time", "up")):
            raise Unanswered(await _no_such_job(prometheus, job, now.end))
        return Judgement(
            job=job,
            window_seconds=now.seconds,
            baseline_seconds=before,
            until=datetime.fromtimestamp(now.end, UTC),
            criteria=await _criteria(seen, Seen(prometheus, job, Window(now.start, before))),
        )


async def _criteria(seen: Seen, before: Seen) -> list[Criterion]:
    queries, load = seen.queries, await seen.load()
    errors = await seen.sum(queries.counted(*_requests('status_code=~"5.*"')))
    light = "http_request_duration_seconds_bucket", _endpoint("=~", LIGHT)
    webhook = "action_latency_seconds_bucket", 'action="webhook.save"'
    peaks = await seen.ask(queries.over("max_over_time", MEMORY))
    return [
        criteria.replicas(await seen.ask(queries.series("up"))),
        criteria.error_rate(load.requests, errors),
        await seen.minutes(),
        await seen.latency(criteria.LIGHT, *light, one_in=100),
        await seen.latency(criteria.WEBHOOK, *webhook, one_in=20),
        criteria.memory(peaks, await seen.sum(queries.over("count_over_time", MEMORY))),
        criteria.cpu(load, await before.load()),
    ]


async def _no_such_job(prometheus: Prometheus, job: str, at: float) -> str:
    known = await prometheus.ask("group by (job) (up)", at=at)
    names = sorted(json.dumps(series.metric.get("job", "")) for series in known)
    there = f"it scrapes {', '.join(names)}" if names else "it scrapes nothing now"
    return f"{prometheus.shown} has no scrape of the job {json.dumps(job)} in the window; {there}"


def _requests(*matchers: str) -> tuple[str, ...]:
    return "http_requests_total", _endpoint("!~", PROBES), *matchers


def _endpoint(operator: str, endpoints: tuple[str, ...]) -> str:
    return f"endpoint{operator}{json.dumps('|'.join(map(re.escape, endpoints)))}"
