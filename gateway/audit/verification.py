"""Verify every chain while the gateway runs: every 15 minutes what is new, once a day the whole.

Where a check ended is kept in this process alone, because a database that was changed cannot vouch
for itself; so each gateway checks for itself, and all of a chain after its start. A chain that was
cut together with its head is found by `relay audit verify` only, beside the heads in the log.
"""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, NamedTuple

from gateway.database import LazyDatabase
from gateway.telemetry import metrics
from gateway.telemetry.background import in_background, repeat
from stores.audit import pages
from stores.audit.verify import resume
from stores.audit.walk import Broken, Position

PACE = timedelta(minutes=15)
# The first check takes CPU that a starting gateway needs to serve.
START_PAUSE = timedelta(minutes=1)
# The checks after which one starts again at the first entry.
WHOLE = timedelta(days=1) // PACE
# Small pages: a page blocks the event loop for about 10 microseconds an entry.
PAGE = 200

log = logging.getLogger("relay.audit")


class Verification(NamedTuple):
    """`seq`: the last entry that was verified, or the first bad one. `at_ms`: of the check, epoch
    milliseconds.
    """

    state: Literal["ok", "broken", "never"]
    seq: int = 0
    detail: str = ""
    at_ms: int | None = None


class Verifier:
    def __init__(self, database: LazyDatabase) -> None:
        self._database = database
        self._positions: dict[str, Position] = {}
        self._found: dict[str, Verification] = {}
        self._checks = 0

    def found(self, workspace: str) -> Verification:
        """The result of the last check of this gateway."""
        return self._found.get(workspace, Verification("never"))

    @property
    def pause(self) -> timedelta:
        return PACE if self._checks else START_PAUSE

    async def watch(self) -> None:
        await repeat(self.turn, lambda: self.pause)

    async def turn(self) -> None:
        """Check every chain. Raises DatabaseUnavailable and SettingsError."""
        if not self._database.opened:
            return
        if self._checks % WHOLE == 0:
            self._positions.clear()
        self._checks += 1
        database, chain = await self._database.open(), self._database.chain()
        async with database.connect() as connection:
            workspaces = await pages.audited_workspaces(connection)
        for workspace in workspaces:
            position = self._positions.get(workspace)
            found, reached = await resume(database, chain, workspace, position, page=PAGE)
            self._note(workspace, found, reached)
        broken = sum(found.state == "broken" for found in self._found.values())
        metrics.audit_broken_chains.set(broken)

    def _note(self, workspace: str, found: object, reached: Position) -> None:
        at_ms = round(time.time() * 1000)
        if isinstance(found, Broken):
            fields = {"workspace": workspace, "seq": found.seq, "reason": found.reason}
            log.error("audit.broken", extra={"fields": fields})
            self._found[workspace] = Verification("broken", found.seq, found.sentence, at_ms)
            return
        self._positions[workspace] = reached
        self._found[workspace] = Verification("ok", reached.seq, "", at_ms)


@asynccontextmanager
async def verifying(database: LazyDatabase) -> AsyncIterator[Verifier]:
    """Verify the chains while the block lasts."""
    verifier = Verifier(database)
    async with in_background(verifier.watch()):
        yield verifier
