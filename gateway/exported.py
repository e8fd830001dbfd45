"""Begin traces and export them, as the settings say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.settings import Settings
from gateway.telemetry.links import TraceLinks
from gateway.telemetry.tracing import Tracing, sampler


def began(settings: Settings) -> Tracing:
    links = TraceLinks(settings.trace_link)
    return Tracing(sampler(), links=links, trusted=settings.trust_traceparent)


@asynccontextmanager
async def exported(settings: Settings, tracing: Tracing | None) -> AsyncIterator[None]:
    """Export spans while the block lasts, where it is said whereto."""
    if tracing is None or settings.traces_endpoint is None:
        yield
        return
    from gateway.telemetry.export import exporting  # the encoder takes 5 MB

    async with exporting(settings.traces_endpoint, settings.env) as record:
        tracing.record = record
        yield
        tracing.record = None
