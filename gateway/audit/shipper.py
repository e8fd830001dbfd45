"""Ship the audit from the outboxes in Redis into the database, in order, each entry once.

There is no consumer group and no leader: the database knows the source of every entry that it has,
so that a shipper may die at any step, and entries that come again are recognised. Every gateway
ships. On PostgreSQL it skips a workspace whose head another transaction has locked; SQLite has one
writer at a time. A gateway that lacks the database or the newest audit key therefore stops no
other one. While the database is unavailable, the outboxes keep the entries.

Measured with three gateways on PostgreSQL against a leader in Redis: an execution costs all of them
together no more CPU, its entries arrive 0.2 s after it instead of 1 s, and with 200 idle workspaces
they take 2.5 % of a core instead of 3.9 %.

A turn ends after a second, and the next one starts with all workspaces. With one workspace under
steady load, an unbounded turn would never end, and no head would be signed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from gateway.access.key_cache import KeyCache
from gateway.access.principal import DEFAULT_WORKSPACE
from gateway.audit.backlog import Backlog
from gateway.audit.maintenance import Failure, Maintenance
from gateway.database import LazyDatabase
from gateway.telemetry import metrics
from gateway.telemetry.background import in_background, repeat
from stores.audit.chain import HeadLocked
from stores.audit_entries import NOWHERE
from stores.redis.outbox import Outbox, Waiting
from stores.redis.server.health import Check

PACE = timedelta(seconds=1)
# The first turn may create the database, which takes CPU that a starting gateway needs to serve.
START_PAUSE = timedelta(seconds=2)
PAUSE_MAX = timedelta(seconds=8)
# 200 entries take 10 ms on a fast database.
BATCH = 200
TOGETHER = 50

log = logging.getLogger("relay.audit")


class Shipper:
    def __init__(
        self,
        outbox: Outbox,
        database: LazyDatabase,
        key_cache: KeyCache,
        maintenance: Maintenance,
        *,
        seen: Callable[[str, Waiting], None] = lambda workspace, waiting: None,
    ) -> None:
        """`seen` gets what each collection finds in a workspace."""
        self._seen = seen
        self._outbox = outbox
        self._database = database
        self._key_cache = key_cache
        self._maintenance = maintenance
        self._failure: Failure | None = None
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
        """Ship for at most a second, then maintain. A failure is logged once, until a turn
        succeeds; the next turn tries again.
        """
        self._more = False
        # Every exception is caught, or no entry would ever be shipped again.
        [failed] = await asyncio.gather(self._turn(), return_exceptions=True)
        failure = Failure.of(failed) if isinstance(failed, BaseException) else failed
        if failure and failure != self._failure:
            fields = {name: value for name, value in failure._asdict().items() if value}
            log.warning("audit.not_shipped", extra={"fields": fields})
        self._failure = failure
        metrics.audit_chain_broken.set(bool(failure and failure.workspace))
        if failure and not failure.workspace:
            self.pause = min(max(self.pause, PACE) * 2, PAUSE_MAX)
        else:
            self.pause = timedelta(0) if self._more else PACE

    async def _turn(self) -> Failure | None:
        failure = await self._ship()
        if self._database.opened and (failure is None or failure.workspace):
            failure = await self._maintenance.turn() or failure
        return failure

    async def _ship(self) -> Failure | None:
        """Ship a batch of each workspace, round by round: a flooded workspace delays no other."""
        known = sorted({DEFAULT_WORKSPACE, NOWHERE, *self._key_cache.workspaces()})
        left, failure = await self._that_wait(known), None
        until = time.monotonic() + PACE.total_seconds()
        while left and time.monotonic() < until and (failure is None or failure.workspace):
            left, why = await self._round(left)
            failure = why or failure
        self._more = bool(left)
        return failure

    async def _that_wait(self, workspaces: Sequence[str]) -> list[str]:
        """The workspaces with entries, or whose outbox cannot be read. Calls that are made together
        share a pipeline, because every gateway reads all outboxes every second.
        """
        wait = []
        for start in range(0, len(workspaces), TOGETHER):
            some = workspaces[start : start + TOGETHER]
            reading = (self._outbox.collect(workspace, limit=1) for workspace in some)
            read = await asyncio.gather(*reading, return_exceptions=True)
            for workspace, waiting in zip(some, read, strict=True):
                if isinstance(waiting, BaseException):
                    wait.append(workspace)
                    continue
                self._note(workspace, waiting)
                wait += [workspace] if waiting.ids else []
        self._report()
        return wait

    def _note(self, workspace: str, waiting: Waiting) -> None:
        self._waiting[workspace] = waiting
        self._seen(workspace, waiting)

    def _report(self) -> None:
        self.backlog = Backlog.of(self._waiting.values())
        self.backlog.report()

    async def _round(self, workspaces: Collection[str]) -> tuple[list[str], Failure | None]:
        """The workspaces with more to ship, and the last failure."""
        more, failure = [], None
        for workspace in workspaces:
            # A broken chain stops no other workspace; an unavailable database stops all.
            ships = failure is None or bool(failure.workspace)
            [left] = await asyncio.gather(
                self._batch(workspace, ship=ships), return_exceptions=True
            )
            if isinstance(left, BaseException):
                failure = Failure.of(left, workspace)
            elif left:
                more.append(workspace)
        self._report()
        return more, failure

    async def _batch(self, workspace: str, *, ship: bool) -> bool:
        """Ship a batch, or only count what waits. Returns whether to continue at once, because
        the batch was full and more waits. After a smaller batch the next turn is soon enough: a
        transaction for every few entries took 28 % of the CPU of an execution at one connection.
        """
        waiting = await self._outbox.collect(workspace, limit=BATCH if ship else 1)
        self._note(workspace, waiting)
        if not ship or not waiting.ids or not await self._append(workspace, waiting):
            return False
        left = await self._outbox.collect(workspace, shipped=waiting.ids, limit=1)
        self._note(workspace, left)
        return len(waiting.ids) == BATCH and bool(left.ids)

    async def _append(self, workspace: str, waiting: Waiting) -> bool:
        """False if another gateway ships this workspace at the moment."""
        database, chain = await self._database.open(), self._database.chain()
        try:
            async with database.begin() as connection:
                new = await connection.run(
                    lambda inner: chain.append(inner, workspace, waiting.entries, wait=False)
                )
        except HeadLocked:
            return False
        metrics.audit_shipped.inc(new)
        return True

    def check(self) -> Check:
        return self.backlog.check(self._failure.error if self._failure else "")


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator[None]:
    """Ship while the block lasts. The next shipper gets the entries that still wait."""
    async with in_background(shipper.watch()):
        yield
