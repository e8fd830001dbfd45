"""The composition root: settings, stores, engine, routes."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway import endpoints, errors
from gateway.actions.registry import registered
from gateway.egress import open_egress
from gateway.endpoints import Opened
from gateway.engine import Engine
from gateway.execution import LEASE_MARGIN, Executions
from gateway.guard import Guard
from gateway.headers import standing
from gateway.problems import Problem
from gateway.readiness import Readiness
from gateway.settings import Settings
from gateway.telemetry import logs, metrics
from gateway.telemetry.context import RequestContext
from gateway.telemetry.links import TraceLinks
from gateway.telemetry.tracing import Tracing, sampler
from stores.connection import open_store
from stores.embedded import EmbeddedStoreError
from stores.previews import Previews
from stores.runs import Runs
from stores.scripts import StoreUnavailable

ROUTES = [
    Route("/actions/preview", endpoints.preview, methods=["POST"]),
    Route("/actions/execute", endpoints.execute, methods=["POST"]),
    Route("/actions", endpoints.actions, methods=["GET"]),
    Route("/previews/{preview_id}", endpoints.find_preview, methods=["GET"]),
    Route("/runs/{run_id}", endpoints.find_run, methods=["GET"]),
    Route("/health", endpoints.health, methods=["GET"]),
    Route("/ready", endpoints.ready, methods=["GET"]),
    Route("/version", endpoints.version, methods=["GET"]),
    Route("/metrics", endpoints.read_metrics, methods=["GET"]),
    Route("/openapi.json", endpoints.openapi, methods=["GET"]),
]

ALLOWED_METHODS = ["GET", "POST", "DELETE", "OPTIONS"]
ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Prefer",
    "X-Request-ID",
    "X-Signature",
    "traceparent",
]
EXPOSED_HEADERS = [
    "Idempotency-Expires",
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "X-Request-ID",
    "X-Trace-Link",
]


def create_app(
    settings: Settings,
    *,
    opened: Callable[[Readiness], None] = lambda readiness: None,
    failed: Callable[[Exception], None] = lambda error: None,
) -> ASGIApp:
    """The gateway. `opened` gets its readiness when it has started, `failed` why it could not."""
    tracing = _tracing(settings) if settings.tracing else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        try:
            async with _exported(settings, tracing), _open(settings) as state:
                opened(state["readiness"])
                yield {**state}
        except (EmbeddedStoreError, ValueError) as error:  # ValueError: what REDIS_URL holds
            failed(error)
            raise

    app: ASGIApp = _routed(lifespan)
    if settings.origins:
        app = _with_cors(app, settings.origins)
    return RequestContext(
        app,
        tracing=tracing,
        counted=settings.telemetry_enabled,
        standing=standing(production=settings.production, shared=bool(settings.origins)),
    )


def _routed(lifespan: Callable[[Starlette], AbstractAsyncContextManager[Any]]) -> Starlette:
    starlette = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        exception_handlers={
            Problem: errors.refused,
            StoreUnavailable: errors.store_unavailable,
            HTTPException: errors.http_exception,
            ClientDisconnect: errors.client_gone,
            Exception: errors.unforeseen,
        },
    )
    starlette.router.redirect_slashes = False  # a path is right or not found
    return starlette


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=ALLOWED_METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )


def from_env() -> ASGIApp:
    """For `uvicorn --factory gateway.app:from_env`, and for reloading."""
    settings = Settings.from_env(os.environ)
    logs.configure(lines=settings.telemetry_enabled)
    return create_app(settings)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    url = settings.redis_url.reveal().decode() if settings.redis_url else None
    observer = metrics.round_trip if settings.counting else None
    async with (
        open_store(url, settings.data_dir, observer=observer) as store,
        open_egress(_guard(settings), settings.signing_secrets) as egress,
    ):
        runs = Runs(store.scripts)
        executions = Executions(runs=runs, egress=egress, action_timeout=settings.action_timeout)
        engine = Engine(
            actions=registered(webhook_url=settings.webhook_url),
            egress=egress,
            previews=Previews(store.scripts),
            runs=runs,
            settled=store.settled,
            executions=executions,
        )
        readiness = Readiness(store, strict=settings.production, observer=metrics.checked)
        watching = asyncio.create_task(readiness.watch())
        try:
            yield Opened(
                engine=engine,
                readiness=readiness,
                actions_enabled=settings.actions_enabled,
                counting=settings.counting,
            )
        finally:
            watching.cancel()
            await executions.drain(settings.action_timeout + LEASE_MARGIN)


def _tracing(settings: Settings) -> Tracing:
    links = TraceLinks(settings.trace_link)
    return Tracing(sampler(), links=links, trusted=settings.trust_traceparent)


@asynccontextmanager
async def _exported(settings: Settings, tracing: Tracing | None) -> AsyncIterator[None]:
    """Export spans while the block lasts, where it is said whereto."""
    if tracing is None or settings.traces_endpoint is None:
        yield
        return
    from gateway.telemetry.export import exporting  # the encoder takes 5 MB

    async with exporting(settings.traces_endpoint, settings.env) as record:
        tracing.record = record
        yield
        tracing.record = None


def _guard(settings: Settings) -> Guard:
    return Guard(
        hosts=settings.egress_hosts,
        networks=settings.egress_networks,
        https_only=settings.production,
    )
