"""Ship the audit from the outboxes in Redis into the database, in order, each entry once.

There is no consumer group: the database knows the source of every entry that it has. A shipper
may die at any step; entries are sent again and recognised. While the database is unavailable, the
outboxes keep the entries. One gateway ships at a time, because concurrent writers would wait for
each other.

A turn ends after a second, and the next one starts with all workspaces. With one workspace under
steady load, an unbounded turn would never end, and no head would be signed. A leader that fails
gives up the lead, because another gateway may reach the database, or have a newer audit key.
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
# Loading SQLAlchemy takes 0.3 s of CPU, which a starting gateway needs to serve.
START_PAUSE = timedelta(seconds=2)
PAUSE_MAX = timedelta(seconds=8)
# Longer than a batch takes on a slow database: 200 entries take 20 ms on a fast one.
LEAD = timedelta(seconds=15)
BATCH = 200
# Back-off after a failed turn, so that another replica can take over.
BACK_OFF = timedelta(seconds=3)
# How often a gateway that does not lead reads the backlog, for its metrics and /ready.
BACKLOG_PACE = timedelta(seconds=10)
# How often a leader backs off for one broken chain: other replicas would probably fail too.
BACK_OFF_PACE = timedelta(minutes=1)

log = logging.getLogger("relay.audit")


class Shipper:
    def __init__(
        self, outbox: Outbox, database: LazyDatabase, key_cache: KeyCache, *, retention: timedelta
    ) -> None:
        self._outbox = outbox
        self._database = database
        self._key_cache = key_cache
        self._name = str(uuid4())
        self._maintenance = Maintenance(database, retention=retention)
        self._backlog_at = self._back_off_until = self._keep_lead_until = float("-inf")
        # `_logged`: the failure that was logged last, until a turn succeeds.
        self._failure: Failure | None = None
        self._logged: Failure | None = None
        self._more = False
        self._waiting: dict[str, Waiting] = {}
        self.backlog = Backlog()
        # How long to wait before the next turn.
        self.pause = PACE

    async def watch(self) -> None:
        """Ship forever: every second, at once after a full batch, less often after a failure."""
        await asyncio.sleep(START_PAUSE.total_seconds())
        await repeat(self.turn, lambda: self.pause)

    async def turn(self) -> None:
        """Ship for at most a second, if this gateway leads. A failure is logged; the next turn
        tries again.
        """
        self._more = False
        # Every exception is caught, or no entry would ever be shipped again.
        [failed] = await asyncio.gather(self._turn(), return_exceptions=True)
        failure = Failure.of(failed) if isinstance(failed, BaseException) else failed
        if failure and failure != self._logged:
            fields = {name: value for name, value in failure._asdict().items() if value}
            log.warning("audit.not_shipped", extra={"fields": fields})
            self._logged = failure
        self._failure = failure
        metrics.audit_chain_broken.set(bool(failure and failure.workspace))
        if failure and not failure.workspace:
            self.pause = min(max(self.pause, PACE) * 2, PAUSE_MAX)
        else:
            self.pause = timedelta(0) if self._more else PACE

    async def _turn(self) -> Failure | None:
        """Take the lead, ship and maintain. Returns the failure, if any."""
        now = time.monotonic()
        backing_off = now < self._back_off_until
        if backing_off or not await self._outbox.lead(self._name, LEAD):
            if now >= self._backlog_at:
                self._backlog_at = now + BACKLOG_PACE.total_seconds()
                await self._round(self._workspaces, ship=False)
            if backing_off:
                return self._failure
            self._logged = None  # so that a later failure is logged again
            return None
        failure = await self._ship()
        if self._database.opened and (failure is None or failure.workspace):
            [kept] = await asyncio.gather(self._maintenance.turn(), return_exceptions=True)
            failure = (Failure.of(kept) if isinstance(kept, BaseException) else kept) or failure
        if failure:
            await self._give_up_lead(failure)
        else:
            self._logged = None
        return failure

    async def _give_up_lead(self, failure: Failure) -> None:
        now = time.monotonic()
        if failure.workspace and failure == self._logged and now < self._keep_lead_until:
            return
        self._keep_lead_until = now + BACK_OFF_PACE.total_seconds()
        self._back_off_until = now + BACK_OFF.total_seconds()
        await self._outbox.lead(self._name, timedelta(0))

    @property
    def _workspaces(self) -> Collection[str]:
        return sorted({DEFAULT_WORKSPACE, NOWHERE, *self._key_cache.workspaces()})

    async def _ship(self) -> Failure | None:
        """Ship a batch of each workspace, round by round: a flooded workspace delays no other."""
        left, failure = self._workspaces, None
        until = time.monotonic() + PACE.total_seconds()
        while left and time.monotonic() < until and (failure is None or failure.workspace):
            left, why = await self._round(left, ship=True)
            failure = why or failure
            await self._outbox.lead(self._name, LEAD)
        self._more = bool(left)
        return failure

    async def _round(
        self, workspaces: Collection[str], *, ship: bool
    ) -> tuple[list[str], Failure | None]:
        """The workspaces with more to ship, and the last failure."""
        more, failure = [], None
        for workspace in workspaces:
            # A broken chain stops no other workspace; an unavailable database stops all.
            ships = ship and (failure is None or bool(failure.workspace))
            [left] = await asyncio.gather(
                self._batch(workspace, ship=ships), return_exceptions=True
            )
            if isinstance(left, BaseException):
                failure = Failure.of(left, workspace)
            elif left:
                more.append(workspace)
        self.backlog = Backlog.of(self._waiting.values())
        self.backlog.report()
        return more, failure

    async def _batch(self, workspace: str, *, ship: bool) -> bool:
        """Ship a batch, or only count what waits. Returns whether to continue at once, because
        the batch was full and more waits. After a smaller batch the next turn is soon enough: a
        transaction for every few entries took 28 % of the CPU of an execution at one connection.
        """
        waiting = await self._outbox.collect(workspace, limit=BATCH if ship else 1)
        self._waiting[workspace] = waiting
        if not ship or not waiting.ids:
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
        """Let another gateway lead."""
        with suppress(RedisUnavailable):
            await self._outbox.lead(self._name, timedelta(0))

    def check(self) -> Check:
        return self.backlog.check(self._failure.error if self._failure else "")


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator[None]:
    """Ship while the block lasts. The next shipper gets the entries that still wait."""
    try:
        async with in_background(shipper.watch()):
            yield
    finally:
        await shipper.leave()
