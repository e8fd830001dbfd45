"""What the audit is told of refusals and of its own readers, a second late and many in one.

A stranger who asks a thousand times a second must not fill the store with it: what is alike is
counted, and so is what is above a bound. What the store does not take is kept, up to that bound,
and offered again. Intents and outcomes of runs do not come this way: the scripts write them.
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
# Different ones of a workspace between two writings; fewer of strangers, who are anybody and take
# no room from those whose key is genuine. Those beyond are told of by their number, in one entry
# of each event and principal: 20 a second are 1.7 million a day at most.
DIFFERENT_MAX = 100
UNAUTHENTICATED_MAX = 20
MORE = "More than are told apart"

Noted = dict[tuple[str, ...], tuple[str, Entry]]


class Bucket(NamedTuple):
    """What shares a bound. `strangers`: refused, for nobody knows who they are."""

    workspace: str
    unauthenticated: bool

    @property
    def limit(self) -> int:
        return UNAUTHENTICATED_MAX if self.unauthenticated else DIFFERENT_MAX


class Journal:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # By what makes two alike; with each the source by which it is kept once.
        self._noted: dict[Bucket, Noted] = {}
        self._sent: dict[Bucket, Noted] = {}

    def note(self, workspace: str, entry: Entry) -> None:
        """To be written soon. Alike are those of one principal, address, action and reason."""
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
        """What was noted, into the outbox. What the store did not say it took goes again as it
        was, under its own sources, and before what is newer.
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
