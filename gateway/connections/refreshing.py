"""One refresh: read the row again, ask the provider, write the new refresh token, then the access
token may be used.

A refresh token that another replica has replaced meanwhile is never taken for one that is over,
and an answer that may be passing changes nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from gateway.access.sealing import Forged, Sealer, UnknownKey
from gateway.config.secret import Secret
from gateway.connections import answers
from gateway.connections.answers import Declined, Grant
from gateway.connections.grants import Kept, kept_of, seal_kept, unseal_kept
from gateway.connections.providers import Client
from gateway.connections.static import unavailable
from gateway.egress.client import Egress
from gateway.outcomes import NotSent
from gateway.telemetry import metrics
from gateway.telemetry.metrics import RefreshResult
from gateway.transaction import Actor, Transactions
from stores.audit_entries import RELAY
from stores.sql import connections
from stores.sql.connections import ConnectionRow, SealedConnection
from stores.sql.drivers.errors import DatabaseUnavailable

# Before a provider is asked once more, and before the database is.
PAUSE = 0.25
# How often another replica may have been faster.
ROUNDS = 3
# How long an access token that does not expire is kept outside of the database.
LASTING_SECONDS = 3600

log = logging.getLogger("relay.connections")


class Fresh(NamedTuple):
    """`seconds`: how long it may be used. `version`: of the row by now."""

    token: Secret
    seconds: float
    version: int


class Moved:
    """The row has changed meanwhile."""


class Refreshing:
    """`refused`: the providers that do not accept Relay's own registration."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        sealer: Sealer,
        egress: Egress,
        find_transactions: Callable[[], Awaitable[Transactions]],
    ) -> None:
        self.clients = clients
        self.refused: set[str] = set()
        self._sealer = sealer
        self._egress = egress
        self._find_transactions = find_transactions

    async def refresh(self, row: ConnectionRow, *, until: float) -> Fresh | NotSent:
        """`until`: on the monotonic clock. Raises DatabaseUnavailable."""
        for _ in range(ROUNDS):
            found = await self._read(row)
            if isinstance(found, NotSent):
                return found
            try:
                kept = unseal_kept(self._sealer, found)
            except (UnknownKey, Forged):
                return unavailable("Its secret cannot be unsealed.")
            fresh = await self._refreshed(found.row, kept, until)
            if not isinstance(fresh, Moved):
                return fresh
        return unavailable("The connection changes all the time.")

    async def _read(self, row: ConnectionRow) -> SealedConnection | NotSent:
        transactions = await self._find_transactions()
        async with transactions.database.connect() as connection:
            found = await connections.find(connection, row.workspace, row.id)
        if found is None:
            return NotSent("The connection is gone.", "connection_outdated", tried=False)
        return needs_reauth(row) if found.row.state == "needs_reauth" else found

    async def _refreshed(
        self, row: ConnectionRow, kept: Kept, until: float
    ) -> Fresh | NotSent | Moved:
        if kept.kind == "lasting":
            return Fresh(Secret(kept.token.encode()), LASTING_SECONDS, row.version)
        asked_at = time.monotonic()
        client = self.clients[row.provider]
        match await self._ask(client, kept, until):
            case Grant() as grant:
                self.refused.discard(row.provider)
                return await self._write(row, kept, grant, asked_at)
            case Declined(whose="grant", code=code):
                return await self._ended(row, code)
            case Declined(whose="client", code=code):
                self.refused.add(row.provider)
                _count(row, "misconfigured", code)
                return unavailable(f"{client.facts.title} does not accept Relay's registration.")
            case Declined(code=code):
                _count(row, "unavailable", code)
                return unavailable(f"{client.facts.title} gave no new access token.")

    async def _ask(self, client: Client, kept: Kept, until: float) -> Grant | Declined:
        """Ask, and ask once more after what may be passing: neither Google nor Microsoft ends a
        refresh token that is used twice.
        """
        fields = {"grant_type": "refresh_token", "refresh_token": kept.token}
        effect = answers.form(client, **fields)
        answer = answers.read(await self._egress.ask(effect, deadline=until), client)
        passing = isinstance(answer, Declined) and answer.whose == "passing"
        if passing and time.monotonic() + PAUSE < until:
            await asyncio.sleep(PAUSE)
            answer = answers.read(await self._egress.ask(effect, deadline=until), client)
        return answer

    async def _write(
        self, row: ConnectionRow, kept: Kept, grant: Grant, asked_at: float
    ) -> Fresh | NotSent | Moved:
        """Write the new refresh token, if there is one, before the access token is used."""
        new = kept_of(grant)
        rotated = new is not None and new != kept and new.kind == "refresh"
        version = row.version + 1 if rotated else row.version
        while True:
            try:
                stored = await self._stored(row, new if rotated else None)
                break
            except DatabaseUnavailable:
                # The provider may accept no older token: the lock lasts a little longer.
                if time.monotonic() - asked_at > 12:
                    _count(row, "unavailable", "not_stored")
                    raise
                await asyncio.sleep(PAUSE)
        if not stored:
            _count(row, "unavailable", "moved")
            return Moved()
        _count(row, "refreshed", "")
        life = float(grant.life or LASTING_SECONDS)
        return Fresh(grant.access_token, life - (time.monotonic() - asked_at), version)

    async def _stored(self, row: ConnectionRow, new: Kept | None) -> bool:
        transactions = await self._find_transactions()
        async with transactions.database.begin() as connection:
            now_ms = int(time.time() * 1000)
            if new is None:
                await connections.record_refresh(connection, row.id, now_ms=now_ms)
                return True
            secret = seal_kept(self._sealer, new, row, version=row.version + 1)
            return await connections.rotate(
                connection, row.id, secret, seen=row.version, now_ms=now_ms
            )

    async def _ended(self, row: ConnectionRow, code: str) -> NotSent | Moved:
        """The provider has ended the grant, unless the row has moved meanwhile."""
        transactions = await self._find_transactions()
        async with transactions.begin(row.workspace, Actor(RELAY), regardless=True) as transaction:
            marked = await connections.mark_needs_reauth(
                transaction.connection, row.id, seen=row.version
            )
            if marked:
                detail = f"{row.provider} as {row.account}: the provider answers {code}"
                transaction.record("connection.needs_reauth", row.id, detail)
        if not marked:
            return Moved()
        _count(row, "needs_reauth", code)
        return needs_reauth(row)


def needs_reauth(row: ConnectionRow) -> NotSent:
    detail = f"The account {row.account} has to be connected again."
    return NotSent(detail, "connection_needs_reauth", tried=False)


def _count(row: ConnectionRow, result: RefreshResult, code: str) -> None:
    metrics.counter(metrics.oauth_refreshes, row.provider, result).inc()
    if result != "refreshed":
        fields = {"provider": row.provider, "connection": row.id, "result": result, "code": code}
        log.warning("connections.refresh", extra={"fields": fields})
