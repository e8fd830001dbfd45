"""The gateway as an ASGI application: what it serves, and what stands around every request."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import Router as Lifespan
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.endpoint import Endpoint
from gateway.api.oauth import pages as oauth
from gateway.api.router import Router
from gateway.api.routes import ENDPOINTS, PROBES
from gateway.api.state import Opened
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.http.cors import Cors
from gateway.http.middleware import RequestContext, default_headers
from gateway.opening import open_gateway
from gateway.studio import pages, plain
from gateway.telemetry import logs, metrics
from gateway.telemetry.links import TraceLinks
from gateway.telemetry.tracing import Tracing, sampler
from stores.redis.server.embedded import EmbeddedStoreError


def create_app(
    settings: Settings,
    *,
    opened: Callable[[Opened], None] = lambda state: None,
    failed: Callable[[Exception], None] = lambda error: None,
) -> ASGIApp:
    """The gateway. `opened` gets its state when it has started, `failed` why it could not."""
    tracing = _tracing(settings) if settings.tracing else None

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[dict[str, Any]]:
        try:
            async with _exporting(settings, tracing), open_gateway(settings) as state:
                opened(state)
                yield {**state}
        # ValueError: what REDIS_URL or DATABASE_URL holds.
        except (EmbeddedStoreError, SettingsError, ValueError) as error:
            failed(error)
            raise

    app: ASGIApp = Router(_endpoints(settings), Lifespan(lifespan=lifespan))
    if shared := bool(settings.origins):
        app = Cors(app, settings.origins, settings.cors_headers)
    return RequestContext(
        app,
        tracing=tracing,
        counted=settings.telemetry_enabled,
        default_headers=default_headers(production=settings.production, shared=shared),
        probes=PROBES,
    )


def _endpoints(settings: Settings) -> Sequence[Endpoint]:
    """The rows of Studio come last: its `/` is the one that counts, and no other waits for them."""
    browsing = (*ENDPOINTS, *oauth.ENDPOINTS)
    endpoints = (*browsing, *(pages.ENDPOINTS if settings.studio_enabled else plain.ENDPOINTS))
    # The series of answers with 5xx start at 0, so that `increase()` sees the first one.
    for endpoint in endpoints if settings.counting else ():
        for status in endpoint.failures():
            metrics.counter(metrics.http_requests, endpoint.path, endpoint.method, str(status))
    return endpoints


def from_env() -> ASGIApp:
    """For `uvicorn --factory gateway.app:from_env`, and for reloading. A start that fails is one
    sentence in uvicorn's log.
    """
    failures: list[Exception] = []
    try:
        settings = Settings.from_env(os.environ)
        logs.configure(lines=settings.telemetry_enabled)
        app = create_app(settings, failed=failures.append)
    except SettingsError as error:
        raise SystemExit(f"Error: {error}") from error

    async def explained(scope: Scope, receive: Receive, send: Send) -> None:
        async def say(message: Message) -> None:
            if failures and "message" in message:  # Starlette's is a traceback
                message["message"] = str(failures[0])
            await send(message)

        await app(scope, receive, say if scope["type"] == "lifespan" else send)

    return explained


def _tracing(settings: Settings) -> Tracing:
    links = TraceLinks(settings.trace_link)
    try:
        sampled = sampler()
    except ValueError as error:  # the SDK reads variables of its own
        raise SettingsError(f"OpenTelemetry does not take a variable: {error}") from error
    return Tracing(sampled, links=links, trusted=settings.trust_traceparent)


@asynccontextmanager
async def _exporting(settings: Settings, tracing: Tracing | None) -> AsyncIterator[None]:
    """Export spans, where an endpoint is configured."""
    if tracing is None or settings.traces_endpoint is None:
        yield
        return
    # The encoder takes 5 MB that a gateway without an endpoint does not need.
    from gateway.telemetry.export import exporting  # noqa: PLC0415

    async with exporting(settings.traces_endpoint, settings.env) as record:
        tracing.record = record
        yield
        tracing.record = None
