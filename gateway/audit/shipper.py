"""Ship the audit: from the outboxes into the database, in order, each entry once.

Any gateway does it, one at a time. No consumer group keeps the books: the database knows every
source it has, so what a dead shipper had written and not yet removed is recognised, in whatever
step it died; and what it had only read still waits. While the database is away the outbox holds.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import uuid4

from gateway.access.key_cache import KeyCache
from gateway.access.principal import DEFAULT_WORKSPACE
from gateway.audit.backlog import Backlog
from gateway.audit.maintenance import Failure, Maintenance
from gateway.background import in_background, repeat
from gateway.database import LazyDatabase
from gateway.telemetry import metrics
from stores.audit_entries import NOWHERE
from stores.redis.client import Check
from stores.redis.outbox import Outbox, Waiting
from stores.redis.scripts import RedisUnavailable

PACE = timedelta(seconds=1)
# A gateway that starts serves first: to load what speaks SQL takes 0.3 s of CPU.
START_PAUSE = timedelta(seconds=2)
PAUSE_MAX = timedelta(seconds=8)
# Longer than a batch takes on a slow database: 200 entries take 20 ms on a fast one.
LEAD = timedelta(seconds=15)
BATCH = 200
# So long a leader that failed leaves it to others, who ask for it every second if they are well:
# they may reach the database, or have an audit key that this one lacks.
BACK_OFF = timedelta(seconds=3)
# A gateway that does not lead looks at the backlog for its metrics alone.
LOOK_PACE = timedelta(seconds=10)
# That one chain is broken is no reason to leave it to others more often: maybe there are none.
STAY = timedelta(minutes=1)

log = logging.getLogger("relay.audit")


class Shipper:
    def __init__(
        self, outbox: Outbox, database: LazyDatabase, key_cache: KeyCache, *, retention: timedelta
    ) -> None:
        self._outbox = outbox
        self._database = database
        self._roster = key_cache
        self._name = str(uuid4())
        self._maintenance = Maintenance(database, retention=retention)
        self._look_at = self._back_off_until = self._stay_until = float("-inf")
        # `_told`: the one that the log has, until all is well.
        self._failure: Failure | None = None
        self._told: Failure | None = None
        self._more = False
        self._waiting: dict[str, Waiting] = {}
        self.backlog = Backlog()
        # Until the next turn.
        self.pause = PACE

    async def watch(self) -> None:
        """Ship for ever, every second; at once where more waits, less often where none can go."""
        await asyncio.sleep(START_PAUSE.total_seconds())
        await repeat(self.turn, lambda: self.pause)

    async def turn(self) -> None:
        """All that waits, for a second at most, if this gateway leads; whatever fails is said, and
        tried again.
        """
        self._more = False
        # Whatever it is: or no entry would ever be shipped again.
        [failed] = await asyncio.gather(self._turn(), return_exceptions=True)
        failure = Failure.of(failed) if isinstance(failed, BaseException) else failed
        if failure and failure != self._told:
            fields = {name: fact for name, fact in failure._asdict().items() if fact}
            log.warning("audit.not_shipped", extra={"fields": fields})
            self._told = failure
        self._failure = failure
        metrics.audit_chain_broken.set(bool(failure and failure.workspace))
        if failure and not failure.workspace:
            self.pause = min(max(self.pause, PACE) * 2, PAUSE_MAX)
        else:
            self.pause = timedelta(0) if self._more else PACE

    async def _turn(self) -> Failure | None:
        """What hindered it."""
        now = time.monotonic()
        backing_off = now < self._back_off_until
        if backing_off or not await self._outbox.lead(self._name, LEAD):
            if now >= self._look_at:
                self._look_at = now + LOOK_PACE.total_seconds()
                await self._round(self._workspaces, leads=False)
            if backing_off:
                return self._failure
            self._told = None  # what comes again is told again
            return None
        failure = await self._ship()
        if self._database.opened and (failure is None or failure.workspace):
            [kept] = await asyncio.gather(self._maintenance.turn(), return_exceptions=True)
            failure = (Failure.of(kept) if isinstance(kept, BaseException) else kept) or failure
        if failure:
            await self._leave_to_others(failure)
        else:
            self._told = None
        return failure

    async def _leave_to_others(self, failure: Failure) -> None:
        now = time.monotonic()
        if failure.workspace and failure == self._told and now < self._stay_until:
            return
        self._stay_until = now + STAY.total_seconds()
        self._back_off_until = now + BACK_OFF.total_seconds()
        await self._outbox.lead(self._name, timedelta(0))

    @property
    def _workspaces(self) -> Collection[str]:
        return sorted({DEFAULT_WORKSPACE, NOWHERE, *self._roster.workspaces()})

    async def _ship(self) -> Failure | None:
        """Round by round, a batch of each: one that is flooded holds up no other. One that stays
        flooded does not either: the next turn begins with all.
        """
        left, failure = self._workspaces, None
        until = time.monotonic() + PACE.total_seconds()
        while left and time.monotonic() < until and (failure is None or failure.workspace):
            left, why = await self._round(left, leads=True)
            failure = why or failure
            await self._outbox.lead(self._name, LEAD)
        self._more = bool(left)
        return failure

    async def _round(
        self, workspaces: Collection[str], *, leads: bool
    ) -> tuple[list[str], Failure | None]:
        """Those of which more waits that can be shipped, and what hindered."""
        more, failure = [], None
        for workspace in workspaces:
            # One whose chain is broken stops no other; a database that is away stops all.
            goes = leads and (failure is None or bool(failure.workspace))
            [left] = await asyncio.gather(
                self._batch(workspace, leads=goes), return_exceptions=True
            )
            if isinstance(left, BaseException):
                failure = Failure.of(left, workspace)
            elif left:
                more.append(workspace)
        self.backlog = Backlog.of(self._waiting.values())
        self.backlog.tell()
        return more, failure

    async def _batch(self, workspace: str, *, leads: bool) -> bool:
        """Whether to go on at once: the batch was full, and more waits. Behind a smaller one the
        next turn is soon enough: a transaction for every few entries was 28 % of the CPU of an
        execution at one connection.
        """
        waiting = await self._outbox.collect(workspace, limit=BATCH if leads else 1)
        self._waiting[workspace] = waiting
        if not leads or not waiting.ids:
            return False
        await self._append(workspace, waiting)
        left = await self._outbox.collect(workspace, shipped=waiting.ids, limit=1)
        self._waiting[workspace] = left
        return len(waiting.ids) == BATCH and bool(left.ids)

    async def _append(self, workspace: str, waiting: Waiting) -> None:
        database = await self._database.open()
        async with database.begin() as connection:
            new = await self._database.chain().append(connection, workspace, waiting.entries)
        metrics.audit_shipped.inc(new)

    async def leave(self) -> None:
        """Another may lead now."""
        with suppress(RedisUnavailable):
            await self._outbox.lead(self._name, timedelta(0))

    def check(self) -> Check:
        return self.backlog.check(self._failure.error if self._failure else "")


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator[None]:
    """Ship while the block lasts. What waits at its end waits for the next who ships."""
    try:
        async with in_background(shipper.watch()):
            yield
    finally:
        await shipper.leave()
