"""Replicas without HTTP that share a Redis and a database, and connections that they refresh."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from gateway.access.sealing import Sealer
from gateway.config.providers import ProviderSettings
from gateway.config.secret import Secret
from gateway.connections.grants import Kept, seal_kept
from gateway.connections.providers import clients
from gateway.connections.refreshing import Refreshing
from gateway.connections.tokens import Tokens
from gateway.egress.client import open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import NotSent
from gateway.transaction import Transactions
from stores.audit.chain import Chain
from stores.redis.client import Store
from stores.redis.oauth.access_tokens import LOCK, AccessTokens
from stores.sql import connections
from stores.sql.connections import ConnectionRow, SealedConnection
from stores.sql.database import Database
from tests.stores.sql.test_connections import ANN
from tests.support.gateways import LOOPBACK, unsigned
from tests.support.identity_provider import CLIENT_ID, IdentityProvider
from tests.support.services import AUDIT_KEY, ENCRYPTION_KEY

SEALER = Sealer([ENCRYPTION_KEY])


def registered(provider: IdentityProvider) -> dict[str, ProviderSettings]:
    """The settings of a gateway that asks this provider."""
    secret = Secret(provider.client_secret.encode())
    return {provider.kind: ProviderSettings(CLIENT_ID, secret, provider.url)}


def row_of(provider: IdentityProvider, **given: object) -> ConnectionRow:
    return ANN._replace(provider=provider.kind, **given)  # type: ignore[arg-type]


async def connected(
    database: Database, provider: IdentityProvider, kept: Kept | None = None
) -> ConnectionRow:
    """A connection whose access token has expired, stored."""
    row = row_of(provider)
    kept = kept or Kept("refresh", provider.refresh_token())
    async with database.begin() as connection:
        await connections.insert(connection, row, seal_kept(SEALER, kept, row, version=1))
    return row


async def stored(database: Database, row: ConnectionRow) -> SealedConnection:
    async with database.connect() as connection:
        found = await connections.find(connection, row.workspace, row.id)
    assert found
    return found


@asynccontextmanager
async def replica(
    store: Store, database: Database, provider: IdentityProvider, lock: timedelta = LOCK
) -> AsyncIterator[Tokens]:
    async def transactions() -> Transactions:
        return Transactions(database, Chain([AUDIT_KEY]))

    async with open_egress(Guard(networks=LOOPBACK), unsigned) as egress:
        refreshing = Refreshing(clients(registered(provider)), SEALER, egress, transactions)
        tokens = Tokens(AccessTokens(store.scripts, lock=lock), refreshing, SEALER)
        try:
            yield tokens
        finally:
            await tokens.close()


async def token(tokens: Tokens, row: ConnectionRow, seconds: float = 15) -> str:
    found = await tokens.access_token(row, deadline=time.monotonic() + seconds)
    assert isinstance(found, Secret), found
    return found.reveal().decode()


async def refusal(tokens: Tokens, row: ConnectionRow, seconds: float = 15) -> NotSent:
    found = await tokens.access_token(row, deadline=time.monotonic() + seconds)
    assert isinstance(found, NotSent)
    return found
