"""Open what a gateway holds, in the order in which it is closed again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

from gateway.access.admission import Admission
from gateway.access.key_cache import KeyCache, watched
from gateway.access.quotas import Quotas
from gateway.actions.registry import registered
from gateway.api.endpoints import Opened
from gateway.audit.journal import Journal, written
from gateway.audit.shipper import Shipper, shipping
from gateway.config.local_keys import peppers, sealer
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from gateway.egress.client import Egress, SecretsOf, open_egress
from gateway.egress.guard import Guard
from gateway.execution.engine import Engine
from gateway.execution.runner import LEASE_MARGIN, Runner
from gateway.keys_check import keys_check
from gateway.readiness import Readiness
from gateway.telemetry import metrics
from stores.redis.client import Check, Store, open_store
from stores.redis.outbox import Outbox
from stores.redis.previews import Previews
from stores.redis.runs import Runs


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """All of it, while the block lasts. Raises EmbeddedStoreError, ValueError, SettingsError."""
    url = settings.redis_url.reveal().decode() if settings.redis_url else None
    observer = metrics.round_trip if settings.counting else None
    async with (
        open_store(url, settings.data_dir, observer=observer) as store,
        # Whoever reads much must not hold up a revocation, nor the audit: connections are few.
        LazyDatabase(settings) as database,
        LazyDatabase(settings) as asked,
        _roster(settings, database) as key_cache,
        _audited(settings, store, database, key_cache) as (journal, shipper),
        open_egress(_guard(settings), _secrets_of(settings, key_cache)) as egress,
        _engine(settings, store, egress) as engine,
    ):
        ours = cache(partial(peppers, settings))
        admission = Admission(settings, key_cache, ours)
        looks = (lambda: keys_check(admission, key_cache, ours), shipper.check)
        async with _readiness(settings, store, looks) as readiness:
            yield Opened(
                engine=engine,
                readiness=readiness,
                admission=admission,
                quotas=Quotas(),
                key_cache=key_cache,
                database=asked,
                journal=journal,
                actions_enabled=settings.actions_enabled,
                counting=settings.counting,
            )


@asynccontextmanager
async def _roster(settings: Settings, database: LazyDatabase) -> AsyncIterator[KeyCache]:
    key_cache = KeyCache(database.found, sealer(settings))
    async with watched(key_cache):
        yield key_cache


@asynccontextmanager
async def _audited(
    settings: Settings, store: Store, database: LazyDatabase, key_cache: KeyCache
) -> AsyncIterator[tuple[Journal, Shipper]]:
    outbox = Outbox(store.scripts)
    journal = Journal(outbox)
    shipper = Shipper(outbox, database, key_cache, retention=settings.audit_retention)
    async with shipping(shipper), written(journal):
        yield journal, shipper


@asynccontextmanager
async def _engine(settings: Settings, store: Store, egress: Egress) -> AsyncIterator[Engine]:
    runs = Runs(store.scripts)
    runner = Runner(runs=runs, egress=egress, action_timeout=settings.action_timeout)
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
    settings: Settings, store: Store, looks: Sequence[Callable[[], Check]]
) -> AsyncIterator[Readiness]:
    readiness = Readiness(store, strict=settings.production, looks=looks, observer=metrics.checked)
    watching = asyncio.create_task(readiness.watch())
    try:
        yield readiness
    finally:
        watching.cancel()


def _secrets_of(settings: Settings, key_cache: KeyCache) -> SecretsOf:
    shared = [secret.reveal() for secret in settings.signing_secrets]
    return lambda workspace: key_cache.secrets(workspace) or shared


def _guard(settings: Settings) -> Guard:
    return Guard(
        hosts=settings.egress_hosts,
        networks=settings.egress_networks,
        https_only=settings.production,
    )
