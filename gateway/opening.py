"""The composition root: open all that a gateway holds, in the order in which it is closed again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial

from gateway.access.admission import Admission
from gateway.access.assertions import Assertions, Trust, trusting
from gateway.access.key_cache import KeyCache, refreshed
from gateway.access.limits import LimitSettings, RateLimitHeaders
from gateway.access.sealing import Sealer
from gateway.actions.action import Actions
from gateway.actions.registry import registered
from gateway.admin.services import Services, services
from gateway.api.openapi import document
from gateway.api.readiness import Readiness, keys_check
from gateway.api.routes import ENDPOINTS
from gateway.api.state import Constant, Entrance, Opened
from gateway.api.streams import Streams
from gateway.approvals.channel_answers import ChannelTester
from gateway.approvals.deciders import Deciders
from gateway.approvals.inbox import Approvals, Inbox
from gateway.approvals.notices import Notifier, notifying
from gateway.approvals.policies import Policies, policy_of
from gateway.approvals.receipts import Receipts
from gateway.approvals.watch import Watch
from gateway.audit.journal import Journal, written
from gateway.audit.maintenance import Maintenance
from gateway.audit.shipper import Shipper, shipping
from gateway.audit.verification import Verifier, verifying
from gateway.config.local_keys import audit_keys, encryption_keys, peppers
from gateway.config.settings import Settings
from gateway.connections.consent.flow import OAuth, open_oauth
from gateway.connections.credentials import CachedRows, Credentials
from gateway.connections.providers import clients, configured, hosts
from gateway.connections.static import StaticSecrets
from gateway.connections.tokens import Tokens
from gateway.database import LazyDatabase
from gateway.egress.client import Egress, SecretsOf, open_egress
from gateway.egress.guard import Guard
from gateway.execution.engine import Engine
from gateway.execution.runner import LEASE_MARGIN, Runner
from gateway.http.origins import Origins
from gateway.mcp.summaries import Summaries
from gateway.mcp.tools import Tools
from gateway.telemetry import metrics
from gateway.telemetry.background import in_background
from gateway.transaction import Transactions
from stores.redis import approvals as approval_rows
from stores.redis.client import Store, open_store
from stores.redis.notices import Notices
from stores.redis.outbox import Outbox
from stores.redis.previews import Previews
from stores.redis.runs import Runs
from stores.redis.server.health import Check


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Opened]:
    """All that a gateway holds. Raises EmbeddedStoreError, ValueError and SettingsError."""
    watch = Watch()
    async with (
        _store(settings) as store,
        LazyDatabase(settings) as database,
        LazyDatabase(settings) as requested,  # long reads must not delay a revocation or the audit
        _key_cache(settings, database) as key_cache,
        _audit(settings, store, database, key_cache, watch) as (journal, shipper, verifier),
        open_egress(Guard(**settings.egress), _secrets_of(settings, key_cache)) as egress,
        notifying(_notifier(settings, store, egress, key_cache, watch)),
        trusting(_trust(settings), egress.fetch) as assertions,
        _connections(settings, store, egress, database, key_cache) as (oauth, credentials),
        _engine(settings, store, egress, key_cache, credentials) as engine,
        _entrance(settings, store, key_cache, assertions, (shipper, oauth.tokens)) as entrance,
    ):
        yield Opened(
            **_constant(settings),
            **entrance,
            engine=engine,
            inbox=engine.inbox,
            channel_tester=ChannelTester(Notices(store.scripts), egress),
            oauth=oauth,
            key_cache=key_cache,
            database=requested,
            services=_services(settings, requested, egress),
            journal=journal,
            verifier=verifier,
            streams=Streams(store.run_endings, entrance["admission"]),
        )


def _constant(settings: Settings) -> Constant:
    return Constant(
        rate_limits=RateLimitHeaders(),
        origins=Origins(settings.origins, own_local=not settings.production),
        tools=Tools(_actions(settings), enabled=settings.actions_enabled),
        summaries=Summaries(),
        receipts=Receipts(partial(audit_keys, settings)),
        providers=configured(settings.providers),
        actions_enabled=settings.actions_enabled,
        counting=settings.counting,
        openapi=document(ENDPOINTS),
    )


def _actions(settings: Settings) -> Actions:
    return registered(webhook_url=settings.webhook_url, providers=configured(settings.providers))


def _store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    url = settings.redis_url.reveal().decode() if settings.redis_url else None
    observer = metrics.round_trip if settings.counting else None
    lease = settings.action_timeout + LEASE_MARGIN
    return open_store(url, settings.data_dir, observer=observer, lease=lease)


def _services(
    settings: Settings, database: LazyDatabase, egress: Egress
) -> Callable[[], Awaitable[Services]]:
    async def opened() -> Services:
        return services(
            await database.open(),
            audit_keys=audit_keys(settings),
            pepper=peppers(settings)[0],
            sealer=Sealer(encryption_keys(settings)),
            check_target=egress.check_target,
        )

    return opened


@asynccontextmanager
async def _entrance(
    settings: Settings,
    store: Store,
    key_cache: KeyCache,
    assertions: Assertions | None,
    checked: Sequence[Shipper | Tokens],
) -> AsyncIterator[Entrance]:
    own_peppers = cache(partial(peppers, settings))
    admission = Admission(
        key_cache,
        own_peppers,
        limits=_limits(settings),
        assertions=assertions,
        trusted_proxies=settings.trusted_proxies,
        keys_required=settings.production,
    )
    policy = settings.approval_policy is not None
    checks: list[Callable[[], Check]] = [
        partial(keys_check, admission, key_cache, own_peppers, policy=policy),
        *(one.check for one in checked),
    ]
    if assertions:
        checks.append(assertions.keys.check)
    strict = settings.production
    readiness = Readiness(store, strict=strict, checks=checks, observer=metrics.checked)
    async with in_background(readiness.watch()):
        yield Entrance(admission=admission, readiness=readiness)


def _limits(settings: Settings) -> LimitSettings:
    return LimitSettings(
        enabled=settings.rate_limit_enabled,
        previews=settings.preview_limit,
        executes=settings.execute_limit,
        runs_at_once=settings.runs_at_once,
        runs_at_once_per_target=settings.runs_at_once_per_target,
    )


@asynccontextmanager
async def _key_cache(settings: Settings, database: LazyDatabase) -> AsyncIterator[KeyCache]:
    key_cache = KeyCache(database.existing, Sealer(encryption_keys(settings)))
    async with refreshed(key_cache):
        yield key_cache


@asynccontextmanager
async def _audit(
    settings: Settings, store: Store, database: LazyDatabase, key_cache: KeyCache, watch: Watch
) -> AsyncIterator[tuple[Journal, Shipper, Verifier]]:
    outbox = Outbox(store.scripts)
    journal = Journal(outbox)
    maintenance = Maintenance(
        database,
        retention=settings.audit_retention,
        lease=settings.action_timeout + LEASE_MARGIN,
        runs=Runs(store.scripts),
        outbox=outbox,
    )
    shipper = Shipper(outbox, database, key_cache, maintenance, seen=watch.see)
    async with shipping(shipper), written(journal), verifying(database) as verifier:
        yield journal, shipper, verifier


def _trust(settings: Settings) -> Trust | None:
    return Trust(**settings.oidc) if settings.oidc else None


def _approvals(settings: Settings, store: Store, key_cache: KeyCache) -> Approvals:
    """Raises SettingsError."""
    deciders = Deciders(key_cache, _trust(settings))
    policies = Policies(policy_of(settings.approval_policy), deciders.role_now, key_cache.policy)
    inbox = Inbox(approval_rows.Approvals(store.scripts), public_url=settings.public_url)
    return Approvals(policies, inbox)


def _notifier(
    settings: Settings, store: Store, egress: Egress, key_cache: KeyCache, watch: Watch
) -> Notifier:
    return Notifier(
        Notices(store.scripts),
        egress,
        key_cache.channels,
        lambda: watch.due,
        public_url=settings.public_url,
    )


@asynccontextmanager
async def _engine(
    settings: Settings,
    store: Store,
    egress: Egress,
    key_cache: KeyCache,
    credentials: Credentials,
) -> AsyncIterator[Engine]:
    """Raises SettingsError."""
    runs = Runs(store.scripts)
    runner = Runner(
        runs=runs,
        egress=egress,
        credentials=credentials,
        action_timeout=settings.action_timeout,
        approvals=_approvals(settings, store, key_cache),
    )
    try:
        yield Engine(
            actions=_actions(settings),
            egress=egress,
            previews=Previews(store.scripts),
            runs=runs,
            run_endings=store.run_endings,
            runner=runner,
        )
    finally:
        await runner.drain(settings.action_timeout + LEASE_MARGIN)


@asynccontextmanager
async def _connections(
    settings: Settings, store: Store, egress: Egress, database: LazyDatabase, key_cache: KeyCache
) -> AsyncIterator[tuple[OAuth, Credentials]]:
    async def transactions() -> Transactions:
        return Transactions(await database.open(), database.chain())

    sealer = Sealer(encryption_keys(settings))
    async with open_oauth(
        clients(settings.providers),
        store.scripts,
        sealer,
        egress=egress,
        find_transactions=transactions,
        public_url=settings.public_url,
    ) as oauth:
        rows = CachedRows(key_cache.connections, key_cache.connection_used)
        static = StaticSecrets(database.existing, sealer)
        yield oauth, Credentials(rows, static, oauth.tokens, hosts(settings.providers))


def _secrets_of(settings: Settings, key_cache: KeyCache) -> SecretsOf:
    shared = [secret.reveal() for secret in settings.signing_secrets]
    return lambda workspace: key_cache.secrets(workspace) or shared
