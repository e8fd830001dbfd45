"""Fixtures that observe telemetry: a collector on a socket, and log lines as JSON."""

import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from gateway.telemetry.logs import JsonFormatter
from tests.support.collector import Collector, collecting
from tests.support.gateways import Relay, gateway
from tests.support.valkey import Valkey

GRAFANA = "https://grafana.example.com"


class Lines:
    """The log lines so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def parsed(self) -> list[dict[str, Any]]:
        """Each line as JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.parsed]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.parsed if line["event"] == event]


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(JsonFormatter())
    relay = logging.getLogger("relay")
    relay.addHandler(handler)
    relay.setLevel(logging.INFO)
    yield lines
    relay.setLevel(logging.NOTSET)
    relay.removeHandler(handler)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as opened:
        yield opened


Traced = Callable[..., AbstractAsyncContextManager[Relay]]


@pytest.fixture
def traced(valkey: Valkey, collector: Collector) -> Traced:
    """Open a gateway whose traces go to the collector and whose links go to Grafana."""

    @asynccontextmanager
    async def opened(redis_url: str = valkey.url, **settings: Any) -> AsyncIterator[Relay]:
        defaults = {"otlp_traces_endpoint": collector.endpoint, "grafana_url": GRAFANA}
        async with gateway(redis_url, **{**defaults, **settings}) as relay:
            yield relay

    return opened
