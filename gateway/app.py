"""The composition root: settings, stores, engine, routes."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway import endpoints, problems
from gateway.actions.registry import registered
from gateway.egress import open_egress
from gateway.endpoints import Opened
from gateway.engine import Engine
from gateway.execution import LEASE_MARGIN, Executions
from gateway.guard import Guard
from gateway.readiness import Readiness
from gateway.settings import Settings
from gateway.telemetry.context import RequestContext, internal_error
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

ALLOWED_HEADERS = ["Content-Type", "Idempotency-Key", "Prefer", "X-Request-ID"]
EXPOSED_HEADERS = [
    "Idempotency-Expires",
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "X-Request-ID",
]


def create_app(
    settings: Settings,
    *,
    opened: Callable[[Readiness], None] = lambda readiness: None,
    failed: Callable[[Exception], None] = lambda error: None,
) -> ASGIApp:
    """The gateway. `opened` gets its readiness when it has started, `failed` why it could not."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        try:
            async with _open(settings) as state:
                opened(state["readiness"])
                yield {**state}
        except (EmbeddedStoreError, ValueError) as error:  # ValueError: what REDIS_URL holds
            failed(error)
            raise

    starlette = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        exception_handlers={
            problems.Problem: _problem,
            StoreUnavailable: _store_unavailable,
            HTTPException: _http_exception,
            ClientDisconnect: _client_gone,
            Exception: _internal_error,
        },
    )
    starlette.router.redirect_slashes = False  # a path is right or not found
    app: ASGIApp = starlette
    if settings.cors_origins:
        app = _with_cors(app, settings.cors_origins)
    return RequestContext(app)


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )


def from_env() -> ASGIApp:
    """For `uvicorn --factory gateway.app:from_env`, and for reloading."""
    return create_app(Settings.from_env(os.environ))


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    url = settings.redis_url.reveal().decode() if settings.redis_url else None
    async with (
        open_store(url, settings.data_dir) as store,
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
        readiness = Readiness(store, strict=settings.production)
        watching = asyncio.create_task(readiness.watch())
        try:
            yield Opened(
                engine=engine,
                readiness=readiness,
                actions_enabled=settings.actions_enabled,
            )
        finally:
            watching.cancel()
            await executions.drain(settings.action_timeout + LEASE_MARGIN)


def _guard(settings: Settings) -> Guard:
    return Guard(
        hosts=settings.egress_hosts,
        networks=settings.egress_networks,
        https_only=settings.production,
    )


def _problem(request: Request[Any], problem: Exception) -> Response:
    assert isinstance(problem, problems.Problem)
    return problems.render(problem, request.state["request_id"])


def _store_unavailable(request: Request[Any], error: Exception) -> Response:
    problem = problems.StoreUnavailable(
        "Redis is away; this request sent nothing. Ask again with the same Idempotency-Key.",
        safe_to_retry=True,
        headers={"Retry-After": "1"},
    )
    return _problem(request, problem)


def _http_exception(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return _problem(request, problems.NotFound("See /openapi.json for what there is."))
        case 405:
            allowed = error.headers or {}
            detail = f"This path takes {allowed.get('Allow', 'other methods')}."
            return _problem(request, problems.MethodNotAllowed(detail, headers=allowed))
        case _:
            return _problem(request, problems.InvalidRequest(f"{error.detail}."))


def _client_gone(request: Request[Any], error: Exception) -> Response:
    return _problem(request, problems.InvalidRequest("The client went away."))


def _internal_error(request: Request[Any], error: Exception) -> Response:
    return internal_error(request.state["request_id"])
