"""Keys, limits, signing secrets and connections in memory: a request looks up here and waits for
nothing.

Each gateway polls the generation number of the database every 2 s, one SELECT of one row: a
subscription can be cut unnoticed, a poll cannot. A change reaches every gateway within 2 s and
the time of a read. While the database is away the last snapshot stays in force, revoked keys
included; expiry needs no database. Before the first read no key is known and every request needs
one.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Literal, NamedTuple

from gateway.access.sealing import Sealer
from gateway.access.snapshot import EMPTY, NOT_READ, CachedKey, read
from gateway.access.suspension import Suspension
from gateway.telemetry.background import in_background, repeat
from gateway.telemetry.metrics import count_connections
from stores.sql import api_keys, connections, workspaces
from stores.sql.channels import Channel
from stores.sql.connections import ConnectionRow
from stores.sql.database import Database
from stores.sql.drivers.connection import Connection
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated
from stores.sql.workspaces import Limits

State = Literal["not_read", "empty", "read", "sealed", "stale", "away", "outdated"]

# Returns the ids that it has left out.
Record = Callable[[Connection, Mapping[str, int]], Awaitable[set[str]]]

CLOSE_PATIENCE = 2.0  # seconds; the last uses of keys are not worth a longer stop

log = logging.getLogger("relay.keys")


class Paces(NamedTuple):
    refresh: timedelta = timedelta(seconds=2)
    reload: timedelta = timedelta(seconds=30)  # in case a change did not raise the generation
    write_used: timedelta = timedelta(seconds=60)


PACES = Paces()


class KeyCache:
    def __init__(
        self,
        find_database: Callable[[], Awaitable[Database | None]],
        sealer: Sealer,
        *,
        paces: Paces = PACES,
        clock: Callable[[], float] = time.time,
        suspension: Suspension | None = None,
    ) -> None:
        """`find_database`: None while there is no database, and so no key."""
        self.suspension = suspension or Suspension()
        self._find_database = find_database
        self._sealer = sealer
        self._paces = paces
        self.clock = clock
        self._database: Database | None = None
        self._snapshot = NOT_READ
        self._state: State = "not_read"
        self._refreshing = asyncio.Lock()
        self._reload_at = float("-inf")
        self._last_used = LastUsed(api_keys.record_use)
        self._connections_used = LastUsed(connections.record_use)
        self.detail = "the database has not been read yet"
        self.as_of: float | None = None  # seconds since 1970; None before the first read

    def find(self, key_id: str) -> CachedKey | None:
        key = self._snapshot.keys.get(key_id)
        return key if key and key.expires_at_ms > self.clock() * 1000 else None

    def workspace_of(self, key_id: str) -> str | None:
        """The workspace of a key, also of one that was revoked or expired in the last 90 days."""
        key = self._snapshot.keys.get(key_id)
        return key.workspace if key else self._snapshot.ended.get(key_id)

    def limits(self, workspace: str) -> Limits:
        return self._snapshot.limits.get(workspace, Limits())

    def secrets(self, workspace: str) -> Sequence[bytes]:
        """Newest first; () where the workspace has none of its own. Raises SecretsSealed."""
        return self._snapshot.secrets(workspace, self.clock() * 1000)

    def channels(self, workspace: str) -> Sequence[Channel] | None:
        """None before the first read."""
        return self._snapshot.channels.get(workspace, ()) if self.known else None

    def connections(self, workspace: str) -> Sequence[ConnectionRow]:
        """Oldest first, those that need a new consent too."""
        return self._snapshot.connections.get(workspace, ())

    def may_decide(self, workspace: str, key_id: str, *, live: bool) -> bool:
        """Whether the key, or the one that has replaced it, is valid and may decide on approvals.
        `live`: on previews of live keys.
        """
        key, replaced, seen = self.find(key_id), self._snapshot.replaced, {key_id}
        while key is None and (key_id := replaced.get(key_id, key_id)) not in seen:
            seen.add(key_id)  # each once: the database may hold a circle
            key = self.find(key_id)
        return (
            key is not None
            and key.workspace == workspace
            and "approvals:decide" in key.scopes
            and (key.live or not live)
        )

    def has_ended(self, session_id: str) -> bool:
        """Whether the caller has signed out of this session."""
        return session_id in self._snapshot.ended_sessions

    def policy(self, workspace: str) -> str:
        """The text of the workspace's approval policy; empty for none."""
        row = self._snapshot.policies.get(workspace)
        return row.text if row else ""

    def workspaces(self) -> Collection[str]:
        return self._snapshot.limits.keys()

    @property
    def known(self) -> bool:
        """Whether the keys were read; before that a valid key and an unknown one look alike."""
        return self._snapshot is not NOT_READ

    @property
    def any_made(self) -> bool:
        """Whether a key was ever created; True until the keys were read."""
        return self._snapshot.any_made

    @property
    def peppers(self) -> Collection[str | None]:
        return self._snapshot.peppers

    def used(self, key_id: str) -> None:
        """Note that the key was just used; `write_used` stores it."""
        self._last_used.note(key_id, int(self.clock() * 1000))

    def connection_used(self, connection_id: str) -> None:
        """Note that the connection was just used; `write_used` stores it."""
        self._connections_used.note(connection_id, int(self.clock() * 1000))

    def state(self) -> State:
        """`empty`: there is no database. `sealed`: the secrets of some workspace or connection
        cannot be unsealed. `stale`: the database is away. `away`: it also was never read. `detail`
        has more.
        """
        return self._state

    @property
    def ready(self) -> bool:
        return self._state not in ("not_read", "away", "outdated")

    async def refresh(self) -> None:
        """Read what has changed. Raises DatabaseUnavailable and SchemaOutdated."""
        async with self._refreshing:
            try:
                with self.suspension.refreshing():
                    await self._refresh()
            except Exception as error:
                if not self._snapshot.any_made:
                    self._snapshot = NOT_READ  # by now there may be keys, which cannot be read
                self._set_state(*self._failure(error))
                raise
            self.as_of = self.clock()

    async def try_refresh(self) -> None:
        """`refresh`, its failure shown by `state` alone."""
        with suppress(Exception):  # or no later revocation would arrive
            await self.refresh()

    async def watch(self) -> None:
        """Refresh and write for ever; a slow write does not delay a refresh."""
        async with asyncio.TaskGroup() as both:
            both.create_task(repeat(self.try_refresh, lambda: self._paces.refresh))
            both.create_task(repeat(self.write_used, lambda: self._paces.write_used))

    async def write_used(self) -> None:
        if self._database:
            await self._last_used.write(self._database)
            await self._connections_used.write(self._database)

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self.write_used()

    async def _refresh(self) -> None:
        self._database = self._database or await self._find_database()
        if self._database is None:
            self._snapshot = EMPTY
            self._set_state("empty", "no key was ever created")
            return
        # Not later: a schema that is upgraded while we run must not stop those that still serve.
        if self._snapshot is NOT_READ or self._snapshot is EMPTY:
            await self._database.check()
        await self._read(self._database)
        if sealed := self._snapshot.sealed:
            detail = f"RELAY_ENCRYPTION_KEY unseals no signing secret of {sealed} workspaces"
            self._set_state("sealed", detail)
        elif sealed := self._snapshot.sealed_connections:
            detail = f"RELAY_ENCRYPTION_KEY does not unseal the secrets of {sealed} connections"
            self._set_state("sealed", detail)
        else:
            self._set_state("read", "the keys are read")

    async def _read(self, database: Database) -> None:
        async with database.connect() as connection:
            generation = await workspaces.generation(connection)
            if generation == self._snapshot.generation and time.monotonic() < self._reload_at:
                return
            self._snapshot = await read(connection, self._sealer, now_ms=int(self.clock() * 1000))
        every = self._snapshot.connections.values()
        count_connections(Counter((row.provider, row.state) for rows in every for row in rows))
        self._reload_at = time.monotonic() + self._paces.reload.total_seconds()

    def _failure(self, error: Exception) -> tuple[State, str]:
        if isinstance(error, SchemaOutdated):
            return "outdated", str(error)
        # Only the class of an unforeseen error: its message may hold anything.
        detail = str(error) if isinstance(error, DatabaseUnavailable) else type(error).__name__
        return "away" if self._snapshot is NOT_READ else "stale", detail

    def _set_state(self, state: State, detail: str) -> None:
        before, self._state, self.detail = self._state, state, detail
        if state != before:
            level = logging.INFO if state in ("read", "empty") else logging.WARNING
            log.log(level, "keys.%s", state, extra={"fields": {"detail": detail}})


class LastUsed:
    """When keys or connections were last used: noted at once, written once a minute."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._moments: dict[str, int] = {}

    def note(self, key_id: str, now_ms: int) -> None:
        self._moments[key_id] = now_ms

    async def write(self, database: Database) -> None:
        """Keep what cannot be written now for the next time: all, or what is being changed."""
        if not self._moments:
            return
        taken, self._moments = self._moments, {}
        left = set(taken)
        try:
            async with database.begin() as connection:
                left_out = await self._record(connection, taken)
            left = left_out
        except Exception as error:  # noqa: BLE001  # no request depends on it
            fields = {"count": len(taken), "error": type(error).__name__}
            log.warning("keys.last_used_not_written", extra={"fields": fields})
        finally:
            self._moments = {key_id: taken[key_id] for key_id in left} | self._moments


@asynccontextmanager
async def refreshed(key_cache: KeyCache) -> AsyncIterator[None]:
    """Read the keys, then refresh them while the block lasts."""
    await key_cache.try_refresh()
    try:
        async with in_background(key_cache.watch()):
            yield
    finally:
        await key_cache.close()
