"""An absent, slow or full collector costs spans and no request, and the process ends in time."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.telemetry.export import FLUSH_PATIENCE, exporting
from gateway.telemetry.spans import Recorder, Span, Trace
from tests.support.collector import Collector, refusing
from tests.support.gateways import GatewayProcess, client, gateway_process, until
from tests.support.observed import Traced
from tests.support.target import Answer, Target, hang, reset, status
from tests.support.valkey import Valkey


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("relay_spans_dropped_total", {"reason": reason}) or 0.0


def record_spans(record: Recorder, number: int) -> None:
    """Record this number of spans."""
    for _ in range(number):
        with Span(Trace("r-1", trace_id=1, sampled=True, record=record), "x"):
            pass


async def test_the_queue_is_flushed_at_the_end(collector: Collector) -> None:
    """A gateway that stops before its next batch loses no span."""
    async with exporting(collector.endpoint, "development") as record:
        record_spans(record, 300)
    assert len(collector.spans) == 300


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A 200 whose body does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _turn in range(400):  # 400 MB, if they were read
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def test_a_collectors_response_is_read_in_part(collector: Collector) -> None:
    """An endless response takes no memory."""
    collector.answer(endless)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with exporting(collector.endpoint, "development") as record:
        record_spans(record, 7)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB
    assert len(collector.spans) == 7


async def test_a_span_that_cannot_be_encoded_is_counted(collector: Collector) -> None:
    """With the spans of its batch. The next batch is sent."""
    before = dropped("export_failed")
    async with exporting(collector.endpoint, "development") as record:
        with Span(Trace("r-1", trace_id=1, sampled=True, record=record), "x") as span:
            span.attrs["wrong"] = None  # type: ignore[assignment]

        async def counted() -> bool:
            return dropped("export_failed") - before == 1

        await until(counted)
        record_spans(record, 3)
    assert len(collector.spans) == 3


@pytest.mark.parametrize("answer", [status(400), status(503), status(307), reset])
async def test_refused_spans_are_counted(collector: Collector, answer: Answer) -> None:
    """Each span of the batch counts as dropped."""
    before = dropped("export_failed")
    collector.answer(answer)
    async with exporting(collector.endpoint, "development") as record:
        record_spans(record, 7)
    assert dropped("export_failed") - before == 7


async def test_a_full_queue_drops_spans(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded, the count is exact, and no caller waits."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    before = dropped("queue_full")
    async with exporting(collector.endpoint, "development") as record:
        started = time.perf_counter()
        record_spans(record, 1000)  # in one turn, 50 and what the thread has taken meanwhile
        took = time.perf_counter() - started
    lost = dropped("queue_full") - before
    assert 0 < lost <= 950
    assert len(collector.spans) == 1000 - lost
    assert took < 1


@pytest.mark.parametrize("answer", [hang, status(503, b"", "Retry-After: 60")])
async def test_the_end_does_not_wait_for_a_collector(collector: Collector, answer: Answer) -> None:
    """Export ends after 2.5 s, and the spans that are left count as dropped."""
    collector.answer(answer)
    before = dropped("export_failed")
    async with exporting(collector.endpoint, "development") as record:
        record_spans(record, 1000)
        started = time.monotonic()
    took = time.monotonic() - started
    assert took < FLUSH_PATIENCE + 0.5

    async def counted() -> bool:
        return dropped("export_failed") - before == 1000

    await until(counted)


@contextmanager
def exporting_process(valkey: Valkey, endpoint: str) -> Iterator[GatewayProcess]:
    env = {"REDIS_URL": valkey.url, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}
    with gateway_process(env) as process:
        yield process


@pytest.mark.parametrize("how", ["refusing", "hanging", "working"])
async def test_a_gateway_works_and_stops_whatever_its_collector_does(
    valkey: Valkey, collector: Collector, target: Target, how: str
) -> None:
    """No request fails, and the process ends within 3 s of its signal."""
    if how == "hanging":
        collector.answer(hang)
    endpoint = await refusing() if how == "refusing" else collector.endpoint
    with exporting_process(valkey, endpoint) as process:
        async with client(process.url) as relay:
            answers = await asyncio.gather(*(relay.get("/version") for _ in range(300)))
            run = await relay.execute(await relay.preview_id(target.url))
        started = time.monotonic()
        process.process.terminate()
        await asyncio.to_thread(process.process.wait, 10)
        took = time.monotonic() - started
    assert {answer.status_code for answer in answers} == {200}
    assert run.json()["status"] == "success"
    assert took < 3
    if how == "working":
        assert len(collector.spans) == 307


async def test_without_an_endpoint_nothing_is_exported(
    traced: Traced, collector: Collector
) -> None:
    """Nothing is sent, not even to a default address, and nothing counts as dropped."""
    lost = dropped("export_failed")
    async with traced(otlp_traces_endpoint=None) as relay:
        assert (await relay.get("/version")).headers["X-Trace-Link"]
    assert collector.connections == 0
    assert dropped("export_failed") == lost


async def test_the_environment_names_the_service(
    traced: Traced, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over our attributes; each process has an
    id.
    """
    monkeypatch.setenv("OTEL_SERVICE_NAME", "payments-relay")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=blue,service.version=9")
    async with traced(env="development") as relay:
        await relay.get("/version")
    [span] = collector.spans
    said: dict[str, Any] = span.resource
    assert (said["service.name"], said["team"]) == ("payments-relay", "blue")
    assert said["service.version"] == "9"
    assert said["deployment.environment.name"] == "development"
    assert said["service.instance.id"]


async def test_a_base_endpoint_gets_the_path_of_traces(
    traced: Traced, collector: Collector
) -> None:
    """OTEL_EXPORTER_OTLP_ENDPOINT has no path, with or without a slash."""
    base = collector.endpoint.removesuffix("/v1/traces")
    for endpoint in (base, base + "/"):
        async with traced(otlp_traces_endpoint=None, otlp_endpoint=endpoint) as relay:
            await relay.get("/version")
    assert collector.paths == ["/v1/traces", "/v1/traces"]
