"""Ask Prometheus about one job and judge every criterion. The exit status says what came of it."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from gateway.cli.gate.criteria import Load, cpu, error_rate, latency, memory, replicas
from gateway.cli.gate.minutes import errors_in_a_row
from gateway.cli.gate.prometheus import Prometheus, Series, Unanswered, selector
from gateway.cli.gate.samples import Buckets, Counter, Scrapes, Window
from gateway.cli.gate.verdicts import Criterion, Verdict

# What answers without waiting for a target.
LIGHT = ("/actions", "/actions/preview", "/previews/{preview_id}", "/runs/{run_id}", "/version")
PROBES = ("/health", "/ready", "/metrics")
# As far as Prometheus itself looks back for the last sample of a series.
LOOKBACK = timedelta(minutes=5)


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


class Seen(NamedTuple):
    """One window of a job: `requests` without those of probes."""

    window: Window
    scrapes: Scrapes
    requests: list[Counter]
    cpu: list[Counter]

    @property
    def load(self) -> Load:
        spent, asked = (sum(one.total for one in many) for many in (self.cpu, self.requests))
        return Load(spent, asked, self.window.seconds)

    @property
    def errors(self) -> list[Counter]:
        return [one for one in self.requests if one.labels.get("status_code", "").startswith("5")]


class Job:
    """The series of one job, up to a moment."""

    def __init__(self, prometheus: Prometheus, name: str) -> None:
        self._prometheus, self._name = prometheus, name

    async def series(self, metric: str, *matchers: str, window: Window) -> list[Series]:
        """Every sample of the window, and of the time before it that tells where it began."""
        over = timedelta(seconds=window.seconds) + LOOKBACK
        query = selector(metric, self._name, *matchers, over=over)
        return await self._prometheus.ask(query, at=window.end)

    async def up(self, at: float) -> list[Series]:
        return await self._prometheus.ask(selector("up", self._name), at=at)

    async def seen(self, window: Window) -> Seen:
        up, began, requests, spent = await asyncio.gather(
            self.series("up", window=window),
            self.series("process_start_time_seconds", window=window),
            self.series("http_requests_total", _one_of("!~", PROBES), window=window),
            self.series("process_cpu_seconds_total", window=window),
        )
        scrapes = Scrapes(up, began, window)
        asked = [scrapes.counter(one) for one in requests]
        return Seen(window, scrapes, asked, [scrapes.counter(one) for one in spent])


async def gate(url: str, job: str, *, window: timedelta, baseline: timedelta | None) -> Judgement:
    """`baseline`: as long as the window unless given. Raises Unusable and Unanswered."""
    async with Prometheus(url) as prometheus:
        return await judge(prometheus, job, window=window, baseline=baseline or window)


async def judge(
    prometheus: Prometheus, job_name: str, *, window: timedelta, baseline: timedelta
) -> Judgement:
    """The baseline is the time just before the window. Raises Unanswered."""
    job = Job(prometheus, job_name)
    end = await prometheus.now()
    judged = Window(end - window.total_seconds(), end)
    before = Window(judged.start - baseline.total_seconds(), judged.start)
    now, earlier = await job.seen(judged), await job.seen(before)
    if not now.scrapes.times:
        raise Unanswered(await _no_such_job(prometheus, job_name, end))
    return Judgement(
        job=job_name,
        window_seconds=window.total_seconds(),
        baseline_seconds=baseline.total_seconds(),
        until=datetime.fromtimestamp(end, UTC),
        criteria=await _criteria(job, now, earlier),
    )


async def _criteria(job: Job, now: Seen, earlier: Seen) -> list[Criterion]:
    light, webhook, resident, up = await asyncio.gather(
        job.series("http_request_duration_seconds_bucket", _one_of("=~", LIGHT), window=now.window),
        job.series("action_latency_seconds_bucket", 'action="webhook.save"', window=now.window),
        job.series("process_resident_memory_bytes", window=now.window),
        job.up(now.window.end),
    )
    light_times, webhook_times = (
        Buckets([now.scrapes.counter(one) for one in series]) for series in (light, webhook)
    )
    return [
        replicas(up),
        error_rate(now.requests, now.errors),
        errors_in_a_row(now.errors, now.scrapes, now.window),
        latency("light endpoints, p99", light_times, limit=0.05, one_in=100),
        latency("webhook.save, p95", webhook_times, limit=1.2, one_in=20),
        memory(resident, now.window),
        cpu(now.load, earlier.load),
    ]


async def _no_such_job(prometheus: Prometheus, job: str, at: float) -> str:
    known = await prometheus.ask("group by (job) (up)", at=at)
    names = sorted(json.dumps(series.labels.get("job", "")) for series in known)
    there = f"it scrapes {', '.join(names)}" if names else "it scrapes nothing now"
    return f"{prometheus.shown} has no scrape of the job {json.dumps(job)} in the window; {there}"


def _one_of(operator: str, endpoints: tuple[str, ...]) -> str:
    return f"endpoint{operator}{json.dumps('|'.join(map(re.escape, endpoints)))}"
