"""Maintain the audit in the database: sign heads and end forgotten runs every minute, apply the
retention daily.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple

from gateway.database import LazyDatabase
from gateway.telemetry.logs import log_event
from gateway.telemetry.spans import Field
from stores.audit import pages, retention
from stores.audit_entries import RELAY, Entry
from stores.redis.outbox import Outbox
from stores.redis.reservations import NoRun
from stores.redis.runs import Runs
from stores.sql import runs

HEADS_PACE = timedelta(minutes=1)
# How often a head that has not moved is logged again: the log of an hour has every head.
REPEAT_PACE = timedelta(hours=1)
REMOVAL_PACE = timedelta(days=1)

log = logging.getLogger("relay.audit")

# Errors that affect every workspace.
COMMON = frozenset({"DatabaseUnavailable", "SchemaOutdated", "RedisUnavailable", "SettingsError"})


class Failure(NamedTuple):
    """The class of an error, and the workspace whose chain it affects; empty for all."""

    error: str
    workspace: str = ""

    @classmethod
    def of(cls, error: BaseException, workspace: str = "") -> "Failure":
        kind = type(error).__name__
        return cls(kind, "" if kind in COMMON else workspace)


class Maintenance:
    def __init__(
        self,
        database: LazyDatabase,
        *,
        retention: timedelta,
        lease: timedelta,
        runs: Runs,
        outbox: Outbox,
    ) -> None:
        """`lease`: of a run."""
        self._database = database
        self._retention = retention
        self._lease = lease
        self._runs = runs
        self._outbox = outbox
        self._heads_at = self._repeat_at = self._removal_at = float("-inf")
        self._signed: dict[str, int] = {}
        self._lost: dict[str, set[str]] = {}
        self._unsigned: Failure | None = None
        self._unremoved: Failure | None = None

    async def turn(self) -> Failure | None:
        """Do the work that is due. Returns the last failure of a chain until that work succeeds.

        Raises an error that affects every chain.
        """
        now = time.monotonic()
        if now >= self._repeat_at:
            self._repeat_at = now + REPEAT_PACE.total_seconds()
            self._signed.clear()
        if now >= self._heads_at:
            self._heads_at = now + HEADS_PACE.total_seconds()
            self._unsigned = await self._each(self._minute)
        if now >= self._removal_at:
            self._removal_at = now + HEADS_PACE.total_seconds()
            self._unremoved = await self._each(self._remove)
            if self._unremoved is None:
                self._removal_at = now + REMOVAL_PACE.total_seconds()
        return self._unsigned or self._unremoved

    async def _each(self, work: Callable[[str], Awaitable[None]]) -> Failure | None:
        """Do the work for every chain; one that is broken or locked stops no other.

        Raises an error that affects all of them.
        """
        audited, failed = await self._audited(), list[tuple[BaseException, str]]()
        for workspace in audited:
            [error] = await asyncio.gather(work(workspace), return_exceptions=True)
            if error:
                failed.append((error, workspace))
        if not failed:
            return None
        error, workspace = failed[0]
        if len(failed) == len(audited) and not Failure.of(error, workspace).workspace:
            raise error
        return Failure(type(error).__name__, workspace)

    async def _minute(self, workspace: str) -> None:
        await self._sign_head(workspace)
        await self._end_forgotten(workspace)

    async def _sign_head(self, workspace: str) -> None:
        """Log the head, because a database writer cannot rewrite the log: a truncated chain ends
        before the last logged head. Every gateway does, whichever has shipped.
        """
        database, chain = await self._database.open(), self._database.chain()
        async with database.connect() as connection:
            head = await chain.read_head(connection, workspace)
        if head is None or self._signed.get(workspace) == head.seq:
            return
        at = round(time.time() * 1000)
        signed = chain.signed_head(workspace, head.seq, head.mac, at)
        fields: dict[str, Field] = {
            "workspace": workspace,
            "seq": head.seq,
            "mac": head.mac.hex(),
            "signed_at": at,
            "signature": signed.signature.hex(),
        }
        log_event(log, "audit.head", fields)
        self._signed[workspace] = head.seq

    async def _end_forgotten(self, workspace: str) -> None:
        """End the runs that Redis has lost, as when it was emptied: their outcome can no longer be
        recorded. An outcome may still wait in the outbox. So either the outbox is empty, or the run
        is missing for the second time and all that waits has come since the first.
        """
        database, chain = await self._database.open(), self._database.chain()
        now_ms = round(time.time() * 1000)
        before_ms = now_ms - self._lease // timedelta(milliseconds=1)
        async with database.connect() as connection:
            running = await runs.running(connection, workspace, before_ms=before_ms)
        lost = [
            row
            for row in running
            if isinstance(await self._runs.inspect(workspace, row.run_id), NoRun)
        ]
        before, self._lost[workspace] = self._lost.get(workspace), {row.run_id for row in lost}
        if lost and (waiting := await self._outbox.collect(workspace, limit=1)).total:
            young = before if before and waiting.oldest < HEADS_PACE / 2 else ()
            lost = [row for row in lost if row.run_id in young]
        if lost:
            entries = [(f"{row.run_id}:run.ended", _forgotten(row, now_ms)) for row in lost]
            async with database.begin() as connection:
                await chain.append(connection, workspace, entries)

    async def _remove(self, workspace: str) -> None:
        database, chain = await self._database.open(), self._database.chain()
        now_ms = round(time.time() * 1000)
        cutoff_ms = now_ms - self._retention // timedelta(milliseconds=1)
        removed = await retention.remove_before(
            database, chain, workspace, cutoff_ms=cutoff_ms, now_ms=now_ms
        )
        if removed:
            log_event(log, "audit.removed", {"workspace": workspace, "entries": removed})

    async def _audited(self) -> list[str]:
        database = await self._database.open()
        async with database.connect() as connection:
            return await pages.audited_workspaces(connection)


def _forgotten(row: runs.RunRow, now_ms: int) -> Entry:
    return Entry(
        event="run.ended",
        at=now_ms,
        principal=RELAY,
        action=row.action,
        provider=row.provider,
        preview_id=row.preview_id,
        run_id=row.run_id,
        status="unknown",
        reason="forgotten",
    )
