"""What the audit is told of refusals and of its own readers, a second late and many in one.

A stranger who asks a thousand times a second must not fill the store with it: what is alike is
counted. What the store does not take is kept and offered again; above a bound it is dropped and
said so. Intents and outcomes of runs do not come this way: the scripts write them.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from msgspec.structs import replace

from gateway.telemetry import metrics
from stores.entries import Entry
from stores.outbox import Outbox
from stores.scripts import StoreUnavailable

PACE = 1.0
# Different ones between two writings; a line of each is some 200 bytes.
DIFFERENT_MAX = 500

log = logging.getLogger("relay.journal")


class Journal:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # By what makes two alike; with each the source by which it is kept once.
        self._noted: dict[tuple[str, ...], tuple[str, str, Entry]] = {}

    def note(self, workspace: str, entry: Entry) -> None:
        """To be written soon. Alike are those of one principal, address, action and reason."""
        alike = (
            *(workspace, entry.event, entry.principal, entry.address),
            *(entry.action, entry.status, entry.reason, entry.detail),
        )
        entry = replace(entry, at=round(time.time() * 1000))
        if alike in self._noted:
            _, source, first = self._noted[alike]
            self._noted[alike] = (workspace, source, replace(first, count=first.count + 1))
        elif len(self._noted) < DIFFERENT_MAX:
            self._noted[alike] = (workspace, str(uuid4()), entry)
        else:
            metrics.audit_dropped.inc()

    async def write(self) -> None:
        """What was noted, into the outbox; kept for another time if the store is away."""
        noted, self._noted = self._noted, {}
        by_workspace: dict[str, list[tuple[str, Entry]]] = {}
        for workspace, source, entry in noted.values():
            by_workspace.setdefault(workspace, []).append((source, entry))
        try:
            for workspace in [*by_workspace]:
                await self._outbox.record(workspace, by_workspace[workspace])
                del by_workspace[workspace]
        except StoreUnavailable:
            pass
        finally:
            for workspace, entries in by_workspace.items():
                self._keep(workspace, entries)

    def _keep(self, workspace: str, entries: Sequence[tuple[str, Entry]]) -> None:
        room = max(0, DIFFERENT_MAX - len(self._noted))
        for source, entry in entries[:room]:
            self._noted[source,] = (workspace, source, entry)
        metrics.audit_dropped.inc(len(entries[room:]))

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(PACE)
            await self.write()


@asynccontextmanager
async def written(journal: Journal) -> AsyncIterator[None]:
    """Write every second while the block lasts, and once at its end."""
    writing = asyncio.create_task(journal.watch())
    try:
        yield
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await journal.write()
