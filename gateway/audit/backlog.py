"""How many audit entries wait for the database, when a gateway last read the outboxes."""

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from gateway.telemetry import metrics
from stores.redis.outbox import Waiting
from stores.redis.server.health import Check

# /ready warns if the oldest entry is older than this.
LATE = timedelta(seconds=30)


class Backlog(NamedTuple):
    entries: int = 0
    oldest: timedelta = timedelta(0)

    @classmethod
    def of(cls, waiting: Collection[Waiting]) -> "Backlog":
        oldest = max((one.oldest for one in waiting), default=timedelta(0))
        return cls(sum(one.total for one in waiting), oldest)

    def report(self) -> None:
        metrics.outbox_entries.set(self.entries)
        metrics.outbox_oldest.set(self.oldest.total_seconds())

    def check(self, failure: str) -> Check:
        """`failure`: the class of the error that prevents shipping, or empty."""
        entries, oldest = self
        if not failure and oldest <= LATE:
            return Check("audit", "ok", f"{entries} entries wait")
        reason = f": {failure}" if failure else ""
        seconds = round(oldest.total_seconds())
        return Check("audit", "warning", f"{entries} entries wait, the oldest {seconds} s{reason}")
