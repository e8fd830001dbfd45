"""How many audit entries wait for the database, as last seen."""

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from gateway.telemetry import metrics
from stores.redis.client import Check
from stores.redis.outbox import Waiting

# An older backlog is a warning of /ready.
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
        """`failure`: the class of the error that keeps the backlog waiting, if any."""
        waits, oldest = self
        if not failure and oldest <= LATE:
            return Check("audit", "ok", f"{waits} entries wait")
        why = f": {failure}" if failure else ""
        seconds = round(oldest.total_seconds())
        return Check("audit", "warning", f"{waits} entries wait, the oldest {seconds} s{why}")
