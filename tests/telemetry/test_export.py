"""A collector that is away, slow or full costs spans, never a request; and the end is in time."""

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


def ended(record: Recorder, number: int) -> None:
    """So many spans, recorded."""
    for _ in range(number):
        with Span(Trace("r-1", trace_id=1, sampled=True, record=record), "x"):
            pass


async def test_what_is_queued_goes_out_at_the_end(collector: Collector) -> None:
    """Nothing is lost when a gateway stops before its next batch."""
    async with exporting(collector.endpoint, "development") as record:
        ended(record, 300)
    assert len(collector.spans) == 300


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A 200 whose body does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _turn in range(400):  # 400 MB, if they were read
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def test_little_of_a_collectors_answer_is_read(collector: Collector) -> None:
    """However much it says, the memory stays as it is."""
    collector.answer(endless)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with exporting(collector.endpoint, "development") as record:
        ended(record, 7)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB
    assert len(collector.spans) == 7


async def test_a_span_that_cannot_be_encoded_is_counted(collector: Collector) -> None:
    """With those of its batch; the next goes out."""
    before = dropped("export_failed")
    async with exporting(collector.endpoint, "development") as record:
        with Span(Trace("r-1", trace_id=1, sampled=True, record=record), "x") as span:
            span.attrs["wrong"] = None  # type: ignore[assignment]

        async def counted() -> bool:
            return dropped("export_failed") - before == 1

        await until(counted)
        ended(record, 3)
    assert len(collector.spans) == 3


@pytest.mark.parametrize("answer", [status(400), status(503), status(307), reset])
async def test_what_a_collector_refuses_is_counted(collector: Collector, answer: Answer) -> None:
    """Each span of the batch, by why."""
    before = dropped("export_failed")
    collector.answer(answer)
    async with exporting(collector.endpoint, "development") as record:
        ended(record, 7)
    assert dropped("export_failed") - before == 7


async def test_what_there_is_no_room_for_is_dropped(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded, the count exact, and nobody waits."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    before = dropped("queue_full")
    async with exporting(collector.endpoint, "development") as record:
        started = time.perf_counter()
        ended(record, 1000)  # in one turn, 50 and what the thread has taken meanwhile
        took = time.perf_counter() - started
    lost = dropped("queue_full") - before
    assert 0 < lost <= 950
    assert len(collector.spans) == 1000 - lost
    assert took < 1


@pytest.mark.parametrize("answer", [hang, status(503, b"", "Retry-After: 60")])
async def test_the_end_does_not_wait_for_a_collector(collector: Collector, answer: Answer) -> None:
    """Whatever it does: 2.5 s, and what did not get out is counted."""
    collector.answer(answer)
    before = dropped("export_failed")
    async with exporting(collector.endpoint, "development") as record:
        ended(record, 1000)
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
    """No request fails, and the process is gone within 3 s of its signal."""
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


async def test_no_endpoint_is_no_exporter(traced: Traced, collector: Collector) -> None:
    """Nothing is sent anywhere, not even to a default address; nothing counts as lost."""
    lost = dropped("export_failed")
    async with traced(otlp_traces_endpoint=None) as relay:
        assert (await relay.get("/version")).headers["X-Trace-Link"]
    assert collector.connections == 0
    assert dropped("export_failed") == lost


async def test_the_environment_names_the_service(
    traced: Traced, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before ours; each process has an id."""
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
    """OTEL_EXPORTER_OTLP_ENDPOINT is without a path, with or without a slash."""
    base = collector.endpoint.removesuffix("/v1/traces")
    for endpoint in (base, base + "/"):
        async with traced(otlp_traces_endpoint=None, otlp_endpoint=endpoint) as relay:
            await relay.get("/version")
    assert collector.paths == ["/v1/traces", "/v1/traces"]
