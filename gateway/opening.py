"""Open what a gateway holds, in the order in which it is closed again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

from gateway.access.admission import Admission
from gateway.access.key_cache import Roster, watched
from gateway.access.quotas import Quotas
from gateway.actions.registry import registered
from gateway.api.endpoints import Opened
from gateway.audit.journal import Journal, written
from gateway.audit.shipper import Shipper, shipping
from gateway.config.local_keys import peppers, sealer
from gateway.config.settings import Settings
from gateway.database import Archive
from gateway.egress.client import Egress, SecretsOf, open_egress
from gateway.egress.guard import Guard
from gateway.execution.engine import Engine
from gateway.execution.runner import LEASE_MARGIN, Executions
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
        Archive(settings) as archive,
        Archive(settings) as asked,
        _roster(settings, archive) as roster,
        _audited(settings, store, archive, roster) as (journal, shipper),
        open_egress(_guard(settings), _secrets_of(settings, roster)) as egress,
        _engine(settings, store, egress) as engine,
    ):
        ours = cache(partial(peppers, settings))
        admission = Admission(settings, roster, ours)
        looks = (lambda: keys_check(admission, roster, ours), shipper.check)
        async with _readiness(settings, store, looks) as readiness:
            yield Opened(
                engine=engine,
                readiness=readiness,
                admission=admission,
                quotas=Quotas(),
                roster=roster,
                archive=asked,
                journal=journal,
                actions_enabled=settings.actions_enabled,
                counting=settings.counting,
            )


@asynccontextmanager
async def _roster(settings: Settings, archive: Archive) -> AsyncIterator[Roster]:
    roster = Roster(archive.found, sealer(settings))
    async with watched(roster):
        yield roster


@asynccontextmanager
async def _audited(
    settings: Settings, store: Store, archive: Archive, roster: Roster
) -> AsyncIterator[tuple[Journal, Shipper]]:
    outbox = Outbox(store.scripts)
    journal = Journal(outbox)
    shipper = Shipper(outbox, archive, roster, retention=settings.audit_retention)
    async with shipping(shipper), written(journal):
        yield journal, shipper


@asynccontextmanager
async def _engine(settings: Settings, store: Store, egress: Egress) -> AsyncIterator[Engine]:
    runs = Runs(store.scripts)
    executions = Executions(runs=runs, egress=egress, action_timeout=settings.action_timeout)
    try:
        yield Engine(
            actions=registered(webhook_url=settings.webhook_url),
            egress=egress,
            previews=Previews(store.scripts),
            runs=runs,
            settled=store.settled,
            executions=executions,
        )
    finally:
        await executions.drain(settings.action_timeout + LEASE_MARGIN)


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


def _secrets_of(settings: Settings, roster: Roster) -> SecretsOf:
    shared = [secret.reveal() for secret in settings.signing_secrets]
    return lambda workspace: roster.secrets(workspace) or shared


def _guard(settings: Settings) -> Guard:
    return Guard(
        hosts=settings.egress_hosts,
        networks=settings.egress_networks,
        https_only=settings.production,
    )
