"""Access tokens of connections by OAuth: one refresh for all replicas and all callers, inside the
deadline of each.

A token is in Redis alone, sealed, and leaves it before it expires. Without Redis nothing is sent.
"""

import asyncio
import time
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from uuid import uuid4

from gateway.access.sealing import Forged, Sealer, UnknownKey
from gateway.config.secret import Secret
from gateway.connections.grants import seal_access_token, unseal_access_token
from gateway.connections.refreshing import Fresh, Refreshing
from gateway.connections.static import unavailable
from gateway.outcomes import NotSent
from stores import tasks
from stores.redis.oauth.access_tokens import AccessTokens, Busy, Held, MayRefresh
from stores.redis.scripts import RedisUnavailable
from stores.redis.server.health import Check
from stores.sql.connections import ConnectionRow
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated

# Seconds. A token with less time left is not used: the deadline of a send, and clocks that differ.
MARGIN = 300
# Of a refresh, which has to end before its lock does.
REFRESH_SECONDS = 10.0
# Between two looks for a token that another replica refreshes.
LOOK_SECONDS = 0.05
# No caller waits longer.
WAIT_SECONDS = 40.0


class Tokens:
    def __init__(self, access_tokens: AccessTokens, refreshing: Refreshing, sealer: Sealer) -> None:
        self._access_tokens = access_tokens
        self._refreshing = refreshing
        self._sealer = sealer
        self._running: dict[str, asyncio.Task[Secret | NotSent]] = {}
        self._dropping: set[asyncio.Task[None]] = set()
        # The documents of the tokens that were given out last, by connection.
        self._given: dict[str, bytes] = {}

    async def access_token(self, row: ConnectionRow, *, deadline: float) -> Secret | NotSent:
        """A token with enough time left. `deadline`: on the monotonic clock."""
        if row.provider not in self._refreshing.clients:
            return unavailable(f"The provider {row.provider} is not configured.")
        if (task := self._running.get(row.id)) is None:
            # Without the caller's context: its patience with Redis is not that of others.
            task = asyncio.create_task(self._find(row), context=Context())
            self._running[row.id] = task
            task.add_done_callback(lambda _: self._running.pop(row.id, None))
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                return await asyncio.shield(task)
        except TimeoutError:
            return unavailable("No new access token came in time.")

    def drop(self, row: ConnectionRow) -> None:
        """Forget the token that was given out last: the provider has refused it."""
        if doc := self._given.pop(row.id, None):
            task = asyncio.create_task(self._drop(row, doc), context=Context())
            self._dropping.add(task)
            task.add_done_callback(self._dropping.discard)

    async def keep(self, row: ConnectionRow, token: Secret, seconds: float) -> None:
        """Keep a token that came with a new grant. Raises RedisUnavailable and UnknownKey."""
        await self.forget(row)
        doc = seal_access_token(self._sealer, token, row, version=row.version)
        await self._access_tokens.end(row.workspace, row.id, str(uuid4()), doc, _usable(seconds))

    async def forget(self, row: ConnectionRow) -> None:
        """Raises RedisUnavailable."""
        await self._access_tokens.drop(row.workspace, row.id)

    def check(self) -> Check:
        """Whether the providers accept Relay's registration."""
        if refused := sorted(self._refreshing.refused):
            named = ", ".join(refused)
            detail = f"the registration of this gateway is not accepted by: {named}"
            return Check("connections", "warning", detail)
        return Check("connections", "ok", "no provider has refused this gateway's registration")

    async def close(self) -> None:
        await tasks.end({*self._running.values(), *self._dropping})

    async def _find(self, row: ConnectionRow) -> Secret | NotSent:
        call, until = str(uuid4()), time.monotonic() + WAIT_SECONDS
        try:
            while time.monotonic() < until:
                match await self._access_tokens.begin(row.workspace, row.id, call):
                    case Held(doc):
                        if token := self._opened(row, doc):
                            return token
                        await self._access_tokens.drop(row.workspace, row.id, doc)
                    case MayRefresh():
                        return await self._refresh(row, call)
                    case Busy():
                        await asyncio.sleep(LOOK_SECONDS)
        except RedisUnavailable as error:
            return unavailable(error.sentence)
        return unavailable("No new access token came in time.")

    def _opened(self, row: ConnectionRow, doc: bytes) -> Secret | None:
        """None for a token that is of no use: it is older than the row, or cannot be unsealed."""
        try:
            token = unseal_access_token(self._sealer, doc, row)
        except (UnknownKey, Forged):
            return None
        self._given[row.id] = doc
        return token

    async def _refresh(self, row: ConnectionRow, call: str) -> Secret | NotSent:
        doc, ttl = b"", timedelta(0)
        try:
            until = time.monotonic() + REFRESH_SECONDS
            fresh = await self._refreshing.refresh(row, until=until)
            if isinstance(fresh, Fresh):
                doc = seal_access_token(self._sealer, fresh.token, row, version=fresh.version)
                ttl = _usable(fresh.seconds)
                self._given[row.id] = doc
        except (DatabaseUnavailable, SchemaOutdated):
            fresh = unavailable("The database does not answer.")
        except UnknownKey:
            fresh = unavailable("RELAY_ENCRYPTION_KEY is not set.")
        # What comes now is only for others: they refresh once more without it.
        with suppress(RedisUnavailable):
            await self._access_tokens.end(row.workspace, row.id, call, doc, ttl)
        return fresh.token if isinstance(fresh, Fresh) else fresh

    async def _drop(self, row: ConnectionRow, doc: bytes) -> None:
        with suppress(RedisUnavailable):
            await self._access_tokens.drop(row.workspace, row.id, doc)


def _usable(seconds: float) -> timedelta:
    """Of a token that lives this long: a short one is used for half of its life."""
    return timedelta(seconds=max(seconds - min(MARGIN, seconds / 2), 0))
