"""The composition root: settings, stores, engine, routes."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway import opening
from gateway.access.admission import ROUTE_SCOPES
from gateway.api import administration, endpoints, errors, history
from gateway.api.endpoints import Opened, State
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.exported import began, exported
from gateway.http.cors import Cors
from gateway.http.middleware import RequestContext, default_headers
from gateway.problems import Problem
from gateway.telemetry import logs
from stores.redis.embedded import EmbeddedStoreError
from stores.redis.scripts import RedisUnavailable

Handler = Callable[[Request[State]], Awaitable[Response]]


def _route(path: str, **handlers: Handler) -> Route:
    """By method. Without a row in the table of scopes it is a KeyError: none is open by mistake."""
    scopes = {method: ROUTE_SCOPES[method, path] for method in handlers}

    async def admitted(request: Request[State]) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if (scope := scopes[method]) is not None:
            request.state["admission"].admit(request, scope)
        return request.state["quotas"].tell(request, await handlers[method](request))

    return Route(path, admitted, methods=[*handlers])


ROUTES = [
    _route("/actions/preview", POST=endpoints.preview),
    _route("/actions/execute", POST=endpoints.execute),
    _route("/actions", GET=endpoints.actions),
    _route("/previews/{preview_id}", GET=endpoints.find_preview),
    _route("/runs", GET=history.list_runs),
    _route("/runs/{run_id}", GET=endpoints.find_run),
    _route("/audit", GET=history.list_audit),
    _route("/keys", GET=administration.list_keys, POST=administration.create_key),
    _route("/keys/{key_id}", DELETE=administration.revoke_key),
    _route("/keys/{key_id}/rotate", POST=administration.rotate_key),
    _route("/secrets", GET=administration.list_secrets, POST=administration.create_secret),
    _route("/health", GET=endpoints.health),
    _route("/ready", GET=endpoints.ready),
    _route("/version", GET=endpoints.version),
    _route("/metrics", GET=endpoints.read_metrics),
    _route("/openapi.json", GET=endpoints.openapi),
]


def create_app(
    settings: Settings,
    *,
    opened: Callable[[Opened], None] = lambda state: None,
    failed: Callable[[Exception], None] = lambda error: None,
) -> ASGIApp:
    """The gateway. `opened` gets what it holds when it has started, `failed` why it could not."""
    tracing = began(settings) if settings.tracing else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        try:
            async with exported(settings, tracing), opening.opened(settings) as state:
                opened(state)
                yield {**state}
        # ValueError: what REDIS_URL or DATABASE_URL holds.
        except (EmbeddedStoreError, SettingsError, ValueError) as error:
            failed(error)
            raise

    app: ASGIApp = _routed(lifespan)
    if settings.origins:
        app = Cors(app, settings.origins)
    return RequestContext(
        app,
        tracing=tracing,
        counted=settings.telemetry_enabled,
        default_headers=default_headers(
            production=settings.production, shared=bool(settings.origins)
        ),
    )


def _routed(lifespan: Callable[[Starlette], AbstractAsyncContextManager[Any]]) -> Starlette:
    starlette = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        exception_handlers={
            Problem: errors.refused,
            RedisUnavailable: errors.store_unavailable,
            HTTPException: errors.http_exception,
            ClientDisconnect: errors.client_gone,
            Exception: errors.unforeseen,
        },
    )
    starlette.router.redirect_slashes = False  # a path is right or not found
    return starlette


def from_env() -> ASGIApp:
    """For `uvicorn --factory gateway.app:from_env`, and for reloading."""
    settings = Settings.from_env(os.environ)
    logs.configure(lines=settings.telemetry_enabled)
    return create_app(settings)
