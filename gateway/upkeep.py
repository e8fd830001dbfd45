"""Keep the audit that is in the database: sign its heads every minute, remove what is too old."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from gateway.archive import Archive
from gateway.telemetry.logs import say
from gateway.telemetry.spans import Fact

HEADS_PACE = timedelta(minutes=1)
REMOVAL_PACE = timedelta(days=1)

log = logging.getLogger("relay.audit")


class Upkeep:
    def __init__(self, archive: Archive, *, retention: timedelta) -> None:
        self._archive = archive
        self._retention = retention
        self._heads_at = self._removal_at = float("-inf")

    async def turn(self) -> str:
        """What is due of it; what hindered, or nothing."""
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
