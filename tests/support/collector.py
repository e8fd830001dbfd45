"""An OTLP collector on a real socket, which decodes and keeps spans."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.gateways import until
from tests.support.target import Answer, Delivery, Target, hang, listening, status
from tests.support.tcp import tcp_server


class Exported(NamedTuple):
    """A span as the collector got it. Ids are hexadecimal; `parent` is empty for a root."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    failed: bool
    resource: dict[str, Any]
    nanoseconds: int


class Collector:
    def __init__(self, target: Target) -> None:
        self._target = target
        self.endpoint = target.url.replace("/hook", "/v1/traces")

    def answer(self, answer: Answer) -> None:
        self._target.answer = answer

    @property
    def raw(self) -> bytes:
        """All bytes that arrived."""
        return b"".join(delivery.body for delivery in self._target.deliveries)

    @property
    def connections(self) -> int:
        return self._target.connections

    @property
    def paths(self) -> list[str]:
        return [delivery.line.split()[1] for delivery in self._target.deliveries]

    @property
    def spans(self) -> list[Exported]:
        return [span for delivery in self._target.deliveries for span in _spans(delivery)]

    async def trace(self, trace_id: str, count: int) -> dict[str, Exported]:
        """The spans of a trace by name, once there are `count`."""

        async def complete() -> bool:
            return len([span for span in self.spans if span.trace_id == trace_id]) >= count

        await until(complete)
        return {span.name: span for span in self.spans if span.trace_id == trace_id}

    async def of_request(self, request_id: str, count: int = 1) -> list[Exported]:
        """The spans with this request id, once there are `count`."""

        def found() -> list[Exported]:
            return [
                span for span in self.spans if span.attributes.get("relay.request_id") == request_id
            ]

        async def complete() -> bool:
            return len(found()) >= count

        await until(complete)
        return found()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    async with listening() as target:
        target.answer = status(200, b"", "Content-Type: application/x-protobuf")
        yield Collector(target)


async def refusing() -> str:
    """The endpoint of a collector that does not listen."""
    async with tcp_server(hang) as port:
        pass
    return f"http://127.0.0.1:{port}/v1/traces"


def _spans(delivery: Delivery) -> Iterable[Exported]:
    for resource_spans in ExportTraceServiceRequest.FromString(delivery.body).resource_spans:
        resource = _mapping(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield Exported(
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes=_mapping(span.attributes),
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    failed=span.status.code == 2,
                    resource=resource,
                    nanoseconds=span.end_time_unix_nano - span.start_time_unix_nano,
                )


def _mapping(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
