"""Who has a key, in memory: admission looks up here and waits for nothing.

A change reaches every gateway within 2 s and the time a read takes. While the database is away
what was known stays, a key that was revoked meanwhile too: until the database is back. Expiry
needs no database. Before the first reading no key is known, and none may do without.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from gateway.access.last_used import LastUsed
from gateway.access.sealing import Sealer
from gateway.access.snapshot import EMPTY, NO_LIMITS, NOT_READ, CachedKey, Limits, read
from gateway.access.suspension import Suspension

if TYPE_CHECKING:
    from stores.sql.database import Database

State = Literal["unread", "empty", "ok", "sealed", "stale", "away", "outdated"]

CLOSE_PATIENCE = 2.0  # seconds; when keys were last used is worth no more at a stop

log = logging.getLogger("relay.roster")


class Paces(NamedTuple):
    look: timedelta = timedelta(seconds=2)
    reload: timedelta = timedelta(seconds=30)  # should a change not have been counted
    write_used: timedelta = timedelta(seconds=60)


PACES = Paces()


class KeyCache:
    def __init__(
        self,
        durable: "Callable[[], AbstractAsyncContextManager[Database] | None]",
        sealer: Sealer,
        *,
        paces: Paces = PACES,
        clock: Callable[[], float] = time.time,
        suspension: Suspension | None = None,
    ) -> None:
        """`durable`: opens the database, or None while there is none; then no key was ever made."""
        self.suspension = suspension or Suspension()
        self._durable = durable
        self._sealer = sealer
        self._paces = paces
        self._clock = clock
        self._stack = AsyncExitStack()
        self._database: Database | None = None
        self._reading = NOT_READ
        self._state: State = "unread"
        self._looking = asyncio.Lock()
        self._reload_at = float("-inf")
        self._used = LastUsed()
        self.detail = "the database has not been read yet"
        self.as_of: float | None = None  # seconds since 1970; None before the first reading

    def find(self, key_id: str) -> CachedKey | None:
        known = self._reading.keys.get(key_id)
        return known if known and known.expires_at_ms > self._clock() * 1000 else None

    def workspace_of(self, key_id: str) -> str | None:
        """Whose the key is, or was until it was revoked or expired; None of one that nobody had."""
        known = self._reading.keys.get(key_id)
        return known.workspace if known else self._reading.ended.get(key_id)

    def limits(self, workspace: str) -> Limits:
        return self._reading.limits.get(workspace, NO_LIMITS)

    def secrets(self, workspace: str) -> Sequence[bytes]:
        """Newest first; () where the workspace has none of its own. Raises SecretsSealed."""
        return self._reading.secrets(workspace, self._clock() * 1000)

    def workspaces(self) -> Collection[str]:
        return self._reading.limits.keys()

    @property
    def known(self) -> bool:
        """Whether the keys were read once; before that a valid key cannot be told from another."""
        return self._reading is not NOT_READ

    @property
    def any_made(self) -> bool:
        """Whether a key was ever made; True as long as nobody knows."""
        return self._reading.any_made

    @property
    def peppers(self) -> Collection[str | None]:
        return self._reading.peppers

    def used(self, key_id: str) -> None:
        self._used.note(key_id, int(self._clock() * 1000))

    def state(self) -> State:
        """`empty`: there is no database. `sealed`: SecretsSealed for some workspace. `stale`: the
        database is away; `away`: and was never read. `detail` says more.
        """
        return self._state

    @property
    def ready(self) -> bool:
        return self._state not in ("unread", "away", "outdated")

    async def refresh(self) -> None:
        """Look now. Raises DatabaseUnavailable and SchemaOutdated."""
        async with self._looking:
            try:
                with self.suspension.looking():
                    await self._look()
            except Exception as error:
                if not self._reading.any_made:
                    self._reading = NOT_READ  # by now there may be keys, which nobody can see
                self._became(*self._blocked(error))
                raise
            self.as_of = self._clock()

    async def watch(self) -> None:
        """Keep fresh, for ever. A write that lasts must not keep it from looking."""
        async with asyncio.TaskGroup() as both:
            both.create_task(_every(self._paces.look, self.look))
            both.create_task(_every(self._paces.write_used, self.write_used))

    async def look(self) -> None:
        """`refresh` for whom `state` is enough."""
        with suppress(Exception):  # or no revocation would ever arrive again
            await self.refresh()

    async def write_used(self) -> None:
        if self._database:
            await self._used.write(self._database)

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self.write_used()
        await self._stack.aclose()

    async def _look(self) -> None:
        if self._database is None:
            if (opening := self._durable()) is None:
                self._reading = EMPTY
                self._became("empty", "no key was ever made")
                return
            self._database = await self._stack.enter_async_context(opening)
        # Later none: a schema that is upgraded while we run must not stop those that still serve.
        if self._reading is NOT_READ or self._reading is EMPTY:
            await self._database.check()
        await self._read(self._database)
        if sealed := self._reading.sealed:
            self._became("sealed", f"RELAY_ENCRYPTION_KEY opens no secret of {sealed} workspaces")
        else:
            self._became("ok", "the roster is read")

    async def _read(self, database: "Database") -> None:
        from stores.sql import workspaces

        async with database.connect() as connection:
            number = await workspaces.generation(connection)
            if number == self._reading.generation and time.monotonic() < self._reload_at:
                return
            self._reading = await read(connection, self._sealer, now_ms=int(self._clock() * 1000))
        self._reload_at = time.monotonic() + self._paces.reload.total_seconds()

    def _blocked(self, error: Exception) -> tuple[State, str]:
        from stores.sql.database import DatabaseUnavailable, SchemaOutdated

        if isinstance(error, SchemaOutdated):
            return "outdated", str(error)
        # Of what nobody foresaw the kind alone: what it says may hold anything.
        detail = str(error) if isinstance(error, DatabaseUnavailable) else type(error).__name__
        return "away" if self._reading is NOT_READ else "stale", detail

    def _became(self, state: State, detail: str) -> None:
        before, self._state, self.detail = self._state, state, detail
        if state != before:
            level = logging.INFO if state in ("ok", "empty") else logging.WARNING
            log.log(level, "roster.%s", state, extra={"fields": {"detail": detail}})


async def _every(pace: timedelta, do: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(pace.total_seconds())
        await do()


@asynccontextmanager
async def watched(key_cache: KeyCache) -> AsyncIterator[None]:
    """Read once, then keep it fresh while the block lasts."""
    await key_cache.look()
    watching = asyncio.create_task(key_cache.watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await key_cache.close()
