"""Record refusals and readings in the audit once a second; like entries become one with a count.

A caller without a key may send a thousand requests a second and must not fill the store: entries
above a bound are only counted. Entries that the store did not accept are kept, up to that bound,
and sent again. The Lua scripts write the intents and outcomes of runs instead, one by one, before
anything is sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

from msgspec.structs import replace

from gateway.telemetry import metrics
from gateway.telemetry.background import in_background, repeat
from stores.audit_entries import Entry
from stores.redis.outbox import Outbox
from stores.redis.scripts import RedisUnavailable

PACE = timedelta(seconds=1)
# How many different entries of a workspace are kept between two writes. Unauthenticated callers
# have a smaller bound of their own, so that they take no room from callers with a key. Entries
# above the bound are counted in one for each event and principal. 20 entries a second are at most
# 1.7 million a day.
DIFFERENT_MAX = 100
UNAUTHENTICATED_MAX = 20
MORE = "Too many to record one by one"

Noted = dict[tuple[str, ...], tuple[str, Entry]]


class Bucket(NamedTuple):
    """Entries that share a bound. `unauthenticated`: their requests had no valid key."""

    workspace: str
    unauthenticated: bool

    @property
    def limit(self) -> int:
        return UNAUTHENTICATED_MAX if self.unauthenticated else DIFFERENT_MAX


class Journal:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # Entries by the fields that like ones share; the database keeps each source once.
        self._noted: dict[Bucket, Noted] = {}
        self._sent: dict[Bucket, Noted] = {}
        self._writing = asyncio.Lock()

    def note(self, workspace: str, entry: Entry, *, unauthenticated: bool = False) -> None:
        """Record an entry within a second. Entries are alike if only their times and request ids
        differ. `unauthenticated`: the request had no valid key.
        """
        alike: tuple[str, ...] = (
            *(entry.event, entry.principal, entry.address),
            *(entry.action, entry.subject, entry.status, entry.reason, entry.detail),
        )
        bucket = Bucket(workspace, unauthenticated)
        noted = self._noted.setdefault(bucket, {})
        if alike not in noted and len(noted) >= bucket.limit:
            metrics.audit_dropped.inc()
            alike = (entry.event, entry.principal)
            entry = Entry(event=entry.event, principal=entry.principal, reason=MORE)
        source, first = noted.get(alike, (str(uuid4()), None))
        if first is None:
            noted[alike] = (source, replace(entry, at=round(time.time() * 1000)))
        else:
            noted[alike] = (source, replace(first, count=first.count + 1))

    async def write(self) -> None:
        """Move the entries into the outbox. Entries that the store did not confirm are sent again
        before newer ones, unchanged and with the same sources.
        """
        with suppress(RedisUnavailable):
            async with self._writing:
                await self._send()
                self._sent, self._noted = self._noted, {}
                await self._send()

    async def _send(self) -> None:
        for bucket in [*self._sent]:
            await self._outbox.record(bucket.workspace, [*self._sent[bucket].values()])
            del self._sent[bucket]

    async def watch(self) -> None:
        await repeat(self.write, lambda: PACE)


@asynccontextmanager
async def written(journal: Journal) -> AsyncIterator[None]:
    """Write the journal every second while the block lasts, and once at its end."""
    try:
        async with in_background(journal.watch()):
            yield
    finally:
        await journal.write()
