"""Ship the audit: from the outboxes into the database, in order, each entry once.

Any gateway does it, one at a time. No consumer group keeps the books: the database knows every
source it has, so what a dead shipper had written and not yet removed is recognised, in whatever
step it died; and what it had only read still waits. While the database is away the outbox holds.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

from gateway.archive import Archive
from gateway.principals import DEFAULT_WORKSPACE
from gateway.roster import Roster
from gateway.telemetry import metrics
from gateway.telemetry.logs import say
from gateway.telemetry.spans import Fact
from stores.connection import Check
from stores.entries import NOWHERE
from stores.outbox import Outbox, Waiting
from stores.scripts import StoreUnavailable

PACE = timedelta(seconds=1)
PAUSE_MAX = timedelta(seconds=8)
# Longer than a batch takes on a slow database: 500 entries take 70 ms on a fast one.
LEAD = timedelta(seconds=15)
BATCH = 500
HEADS_PACE = timedelta(minutes=1)
REMOVAL_PACE = timedelta(days=1)
# What hinders one workspace as another.
STOPS = frozenset({"DatabaseUnavailable", "SchemaOutdated"})
# Above this a backlog is a warning of /ready.
LATE = timedelta(seconds=30)

log = logging.getLogger("relay.audit")


class Backlog(NamedTuple):
    entries: int
    oldest: timedelta


class Shipper:
    def __init__(
        self, outbox: Outbox, archive: Archive, roster: Roster, *, retention: timedelta
    ) -> None:
        self._outbox = outbox
        self._archive = archive
        self._roster = roster
        self._retention = retention
        self._name = str(uuid4())
        self._heads_at = self._removal_at = float("-inf")
        self._failure = ""
        self.backlog = Backlog(0, timedelta(0))
        # Until the next turn.
        self.pause = PACE

    async def watch(self) -> None:
        """Ship for ever, every second; less often while that fails."""
        while True:
            await asyncio.sleep(self.pause.total_seconds())
            await self.turn()

    async def turn(self) -> None:
        """Once all that waits, if this gateway leads; whatever fails is said, and tried again."""
        # Whatever it is: or no entry would ever be shipped again.
        [failed] = await asyncio.gather(self._turn(), return_exceptions=True)
        if isinstance(failed, StoreUnavailable):
            return
        failure = failed if isinstance(failed, str) else type(failed).__name__
        if failure and failure != self._failure:
            log.warning("audit.not_shipped", extra={"facts": {"error": failure}})
        self._failure = failure
        self.pause = min(self.pause * 2, PAUSE_MAX) if failure else PACE

    async def _turn(self) -> str:
        """What hindered it, or nothing."""
        leads, failure = await self._outbox.lead(self._name, LEAD), ""
        backlogs = []
        for workspace in sorted({DEFAULT_WORKSPACE, NOWHERE, *self._roster.workspaces()}):
            # One whose chain is broken stops no other; a database that is away stops all.
            waiting, why = await self._ship(workspace, leads=leads and failure not in STOPS)
            failure = failure or why
            backlogs.append(waiting)
        self._tell(backlogs)
        if leads and self._archive.opened and failure not in STOPS:
            failure = await self._chores() or failure
        return failure

    async def _ship(self, workspace: str, *, leads: bool) -> tuple[Waiting, str]:
        """All that waits of a workspace; what waits then, and what hindered."""
        waiting = await self._outbox.collect(workspace, most=BATCH if leads else 1)
        while leads and waiting.ids:
            [failed] = await asyncio.gather(
                self._append(workspace, waiting), return_exceptions=True
            )
            if failed is not None:
                return waiting, type(failed).__name__
            shipped = waiting.ids
            waiting = await self._outbox.collect(workspace, shipped=shipped, most=BATCH)
        return waiting, ""

    async def _append(self, workspace: str, waiting: Waiting) -> None:
        database = await self._archive.database()
        async with database.begin() as connection:
            new = await self._archive.chain().append(connection, workspace, waiting.entries)
        metrics.audit_shipped.inc(new)

    def _tell(self, waiting: Sequence[Waiting]) -> None:
        oldest = max((one.oldest for one in waiting), default=timedelta(0))
        self.backlog = backlog = Backlog(sum(one.in_all for one in waiting), oldest)
        metrics.outbox_entries.set(backlog.entries)
        metrics.outbox_oldest.set(backlog.oldest.total_seconds())

    async def _chores(self) -> str:
        """What hindered them, or nothing."""
        now, failure = time.monotonic(), ""
        if now >= self._heads_at:
            self._heads_at = now + HEADS_PACE.total_seconds()
            failure = await self._each(self._sign_head)
        if now >= self._removal_at:
            self._removal_at = now + REMOVAL_PACE.total_seconds()
            failure = await self._each(self._remove) or failure
        return failure

    async def _each(self, chore: Callable[[str], Awaitable[None]]) -> str:
        """For every chain: one that is broken stops no other."""
        failure = ""
        for workspace in await self._audited():
            [failed] = await asyncio.gather(chore(workspace), return_exceptions=True)
            failure = failure or (type(failed).__name__ if failed else "")
        return failure

    async def _sign_head(self, workspace: str) -> None:
        """Where who may write to the database cannot: a chain that was cut is shorter than it."""
        database, chain = await self._archive.database(), self._archive.chain()
        async with database.begin() as connection:
            head = await chain.locked_head(connection, workspace)
        if head:
            at = round(time.time() * 1000)
            signed = chain.signed_head(workspace, head.seq, head.mac, at)
            facts: dict[str, Fact] = {
                "workspace": workspace,
                "seq": head.seq,
                "mac": head.mac.hex(),
                "signed_at": at,
                "signature": signed.signature.hex(),
            }
            say(log, "audit.head", facts)

    async def _remove(self, workspace: str) -> None:
        from stores.sql import retention

        database, chain = await self._archive.database(), self._archive.chain()
        now_ms = round(time.time() * 1000)
        cutoff_ms = now_ms - self._retention // timedelta(milliseconds=1)
        removed = await retention.remove_before(
            database, chain, workspace, cutoff_ms=cutoff_ms, now_ms=now_ms
        )
        if removed:
            say(log, "audit.removed", {"workspace": workspace, "entries": removed})

    async def _audited(self) -> list[str]:
        from stores.sql import pages

        database = await self._archive.database()
        async with database.connect() as connection:
            return await pages.audited(connection)

    async def leave(self) -> None:
        """Another may lead now."""
        with suppress(StoreUnavailable):
            await self._outbox.lead(self._name, timedelta(0))

    def check(self) -> Check:
        waits, oldest = self.backlog
        if self._failure or oldest > LATE:
            why = f": {self._failure}" if self._failure else ""
            seconds = round(oldest.total_seconds())
            return Check("audit", "warning", f"{waits} entries wait, the oldest {seconds} s{why}")
        return Check("audit", "ok", f"{waits} entries wait")


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator[None]:
    """Ship while the block lasts. What waits at its end waits for the next who ships."""
    working = asyncio.create_task(shipper.watch())
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await shipper.leave()
