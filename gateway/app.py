"""The composition root: open everything in the order in which it is closed again, and serve it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from starlette.routing import Router as Lifespan
from starlette.types import ASGIApp

from gateway.access.admission import Admission
from gateway.access.key_cache import KeyCache, refreshed
from gateway.access.limits import LimitSettings, RateLimitHeaders
from gateway.access.sealing import Sealer
from gateway.actions.registry import registered
from gateway.admin.services import Services, services
from gateway.api.openapi import document
from gateway.api.router import Router
from gateway.api.routes import ENDPOINTS, PROBES
from gateway.api.state import Opened
from gateway.approvals.inbox import Approvals, Inbox
from gateway.approvals.policies import Policies
from gateway.approvals.policy import Policy
from gateway.approvals.policy_file import PolicyRefused
from gateway.audit.journal import Journal, written
from gateway.audit.maintenance import Maintenance
from gateway.audit.shipper import Shipper, shipping
from gateway.background import in_background
from gateway.config.local_keys import audit_keys, encryption_keys, peppers
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.database import LazyDatabase
from gateway.egress.client import Egress, SecretsOf, open_egress
from gateway.egress.guard import Guard
from gateway.execution.engine import Engine
from gateway.execution.runner import LEASE_MARGIN, Runner
from gateway.http.cors import Cors
from gateway.http.middleware import RequestContext, default_headers
from gateway.readiness import Readiness, keys_check
from gateway.telemetry import logs, metrics
from gateway.telemetry.links import TraceLinks
from gateway.telemetry.tracing import Tracing, sampler
from stores.redis import approvals as approval_rows
from stores.redis.client import Store, open_store
from stores.redis.embedded import EmbeddedStoreError
from stores.redis.health import Check
from stores.redis.outbox import Outbox
from stores.redis.previews import Previews
from stores.redis.runs import Runs


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

    if settings.counting:
        # The series of answers with 5xx start at 0, so that `increase()` sees the first one.
        for endpoint in ENDPOINTS:
            for status in endpoint.failures():
                metrics.counter(metrics.http_requests, endpoint.path, endpoint.method, str(status))
    app: ASGIApp = Router(ENDPOINTS, Lifespan(lifespan=lifespan))
    if settings.origins:
        app = Cors(app, settings.origins, settings.cors_headers)
    return RequestContext(
        app,
        tracing=tracing,
        counted=settings.telemetry_enabled,
        default_headers=default_headers(
            production=settings.production, shared=bool(settings.origins)
        ),
        probes=PROBES,
    )


def from_env() -> ASGIApp:
    """For `uvicorn --factory gateway.app:from_env`, and for reloading."""
    settings = Settings.from_env(os.environ)
    logs.configure(lines=settings.telemetry_enabled)
    return create_app(settings)


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Opened]:
    """All that a gateway holds. Raises EmbeddedStoreError, ValueError and SettingsError."""
    url = settings.redis_url.reveal().decode() if settings.redis_url else None
    observer = metrics.round_trip if settings.counting else None
    async with (
        open_store(url, settings.data_dir, observer=observer) as store,
        # Two, each with few connections: long reads must not delay a revocation or the audit.
        LazyDatabase(settings) as database,
        LazyDatabase(settings) as requested,
        _key_cache(settings, database) as key_cache,
        _audit(settings, store, database, key_cache) as (journal, shipper),
        open_egress(_guard(settings), _secrets_of(settings, key_cache)) as egress,
        _engine(settings, store, egress, _approvals(settings, store, key_cache)) as engine,
    ):
        own_peppers = cache(partial(peppers, settings))
        admission = _admission(settings, key_cache, own_peppers)
        checks = (lambda: keys_check(admission, key_cache, own_peppers), shipper.check)
        async with _readiness(settings, store, checks) as readiness:
            yield Opened(
                engine=engine,
                inbox=engine.inbox,
                readiness=readiness,
                admission=admission,
                rate_limits=RateLimitHeaders(),
                key_cache=key_cache,
                database=requested,
                services=_services(settings, requested),
                journal=journal,
                actions_enabled=settings.actions_enabled,
                counting=settings.counting,
                openapi=document(ENDPOINTS),
            )


def _services(settings: Settings, database: LazyDatabase) -> Callable[[], Awaitable[Services]]:
    async def opened() -> Services:
        return services(
            await database.open(),
            audit_keys=audit_keys(settings),
            pepper=peppers(settings)[0],
            sealer=Sealer(encryption_keys(settings)),
        )

    return opened


def _admission(
    settings: Settings, key_cache: KeyCache, own_peppers: Callable[[], Sequence[bytes]]
) -> Admission:
    limits = LimitSettings(
        enabled=settings.rate_limit_enabled,
        previews=settings.preview_limit,
        executes=settings.execute_limit,
        runs_at_once=settings.runs_at_once,
        runs_at_once_per_target=settings.runs_at_once_per_target,
    )
    return Admission(
        key_cache,
        own_peppers,
        limits=limits,
        trusted_proxies=settings.trusted_proxies,
        keys_required=settings.production,
    )


@asynccontextmanager
async def _key_cache(settings: Settings, database: LazyDatabase) -> AsyncIterator[KeyCache]:
    key_cache = KeyCache(database.existing, Sealer(encryption_keys(settings)))
    async with refreshed(key_cache):
        yield key_cache


@asynccontextmanager
async def _audit(
    settings: Settings, store: Store, database: LazyDatabase, key_cache: KeyCache
) -> AsyncIterator[tuple[Journal, Shipper]]:
    outbox = Outbox(store.scripts)
    journal = Journal(outbox)
    maintenance = Maintenance(
        database,
        retention=settings.audit_retention,
        lease=settings.action_timeout + LEASE_MARGIN,
        runs=Runs(store.scripts),
        outbox=outbox,
    )
    shipper = Shipper(outbox, database, key_cache, maintenance)
    async with shipping(shipper), written(journal):
        yield journal, shipper


def _approvals(settings: Settings, store: Store, key_cache: KeyCache) -> Approvals:
    """Raises SettingsError."""
    policies = Policies(_policy(settings), key_cache.may_decide)
    return Approvals(policies, Inbox(approval_rows.Approvals(store.scripts)))


def _policy(settings: Settings) -> Policy | None:
    """The operator's policy. Raises SettingsError."""
    if settings.approval_policy is None:
        return None
    try:
        return Policy(settings.approval_policy.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"RELAY_APPROVAL_POLICY: {error}") from error
    except PolicyRefused as refused:
        errors = " ".join(f"{it.pointer}: {it.detail}" for it in refused.errors)
        raise SettingsError(f"RELAY_APPROVAL_POLICY: {refused} {errors}".rstrip()) from refused


@asynccontextmanager
async def _engine(
    settings: Settings, store: Store, egress: Egress, approvals: Approvals
) -> AsyncIterator[Engine]:
    runs = Runs(store.scripts)
    runner = Runner(
        runs=runs, egress=egress, action_timeout=settings.action_timeout, approvals=approvals
    )
    try:
        yield Engine(
            actions=registered(webhook_url=settings.webhook_url),
            egress=egress,
            previews=Previews(store.scripts),
            runs=runs,
            run_endings=store.run_endings,
            runner=runner,
        )
    finally:
        await runner.drain(settings.action_timeout + LEASE_MARGIN)


@asynccontextmanager
async def _readiness(
    settings: Settings, store: Store, checks: Sequence[Callable[[], Check]]
) -> AsyncIterator[Readiness]:
    strict = settings.production
    readiness = Readiness(store, strict=strict, checks=checks, observer=metrics.checked)
    async with in_background(readiness.watch()):
        yield readiness


def _tracing(settings: Settings) -> Tracing:
    links = TraceLinks(settings.trace_link)
    return Tracing(sampler(), links=links, trusted=settings.trust_traceparent)


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


def _secrets_of(settings: Settings, key_cache: KeyCache) -> SecretsOf:
    shared = [secret.reveal() for secret in settings.signing_secrets]
    return lambda workspace: key_cache.secrets(workspace) or shared


def _guard(settings: Settings) -> Guard:
    return Guard(
        hosts=settings.egress_hosts,
        networks=settings.egress_networks,
        authorities=settings.egress_authorities,
        ports=settings.egress_ports,
        https_only=settings.production,
    )
