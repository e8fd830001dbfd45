"""Record refusals and readings in the audit, once a second, with a count for like ones.

A caller without a key that sends a thousand requests a second must not fill the store: like
entries are counted, and so are those above a bound. Entries that the store did not accept are
kept, up to that bound, and sent again. The intents and outcomes of runs are written by the Lua
scripts instead, one by one, before anything is sent.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

from msgspec.structs import replace

from gateway import problems
from gateway.background import in_background, repeat
from gateway.telemetry import metrics
from stores.audit_entries import Entry
from stores.redis.outbox import Outbox
from stores.redis.scripts import RedisUnavailable

PACE = timedelta(seconds=1)
# How many different entries of a workspace are kept between two writes. Unauthenticated callers
# have a smaller bound of their own, so that they take no room from callers with a key. Further
# entries are counted in one entry for each event and principal: 20 a second are at most 1.7
# million a day.
DIFFERENT_MAX = 100
UNAUTHENTICATED_MAX = 20
MORE = "Too many to record one by one"

Noted = dict[tuple[str, ...], tuple[str, Entry]]


class Bucket(NamedTuple):
    """Entries that share a bound. `unauthenticated`: of requests without a valid key."""

    workspace: str
    unauthenticated: bool

    @property
    def limit(self) -> int:
        return UNAUTHENTICATED_MAX if self.unauthenticated else DIFFERENT_MAX


class Journal:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # By what makes two entries alike; each with the source by which the database keeps it once.
        self._noted: dict[Bucket, Noted] = {}
        self._sent: dict[Bucket, Noted] = {}

    def note(self, workspace: str, entry: Entry) -> None:
        """Record within a second. Entries with the same principal, address, action and reason are
        alike.
        """
        alike: tuple[str, ...] = (
            *(entry.event, entry.principal, entry.address),
            *(entry.action, entry.subject, entry.status, entry.reason, entry.detail),
        )
        bucket = Bucket(
            workspace, unauthenticated=entry.status == problems.code(problems.Unauthenticated)
        )
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
        """Move the entries into the outbox. Those that the store did not confirm are sent again
        unchanged, with their own sources, and before newer ones.
        """
        with suppress(RedisUnavailable):
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
    """Write every second while the block lasts, and once at its end."""
    try:
        async with in_background(journal.watch()):
            yield
    finally:
        await journal.write()
