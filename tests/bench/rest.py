"""When a subject is at rest: it has shipped its audit, exported its spans and does nothing more."""

import asyncio
from time import monotonic

from stores.redis import names
from tests.bench.processes import TICKS
from tests.bench.subjects import SPAN_DELAY_MS, Subject

# Longer than the delay of spans, so that their export falls into it.
QUIET_SECONDS = SPAN_DELAY_MS / 1000 + 0.15
# A process that used at most this many ticks in a quiet time is at rest.
QUIET_TICKS = 1.5
IDLE_SECONDS = 3.0
REST_PATIENCE = 60.0
OUTBOX = names.outbox("default")


async def at_rest(subject: Subject) -> None:
    """Wait until the outbox is empty and the process idles. Raises TimeoutError."""
    until = monotonic() + REST_PATIENCE
    await _shipped(subject, until)
    while monotonic() < until:
        before = subject.process.cpu_seconds()
        await asyncio.sleep(QUIET_SECONDS)
        if (subject.process.cpu_seconds() - before) * TICKS <= QUIET_TICKS:
            return
    raise TimeoutError(f"{subject.name} does not come to rest")


async def idle_share(subject: Subject) -> float:
    """The share of a core that the process uses without any load."""
    await at_rest(subject)
    before = subject.process.cpu_seconds()
    await asyncio.sleep(IDLE_SECONDS)
    return (subject.process.cpu_seconds() - before) / IDLE_SECONDS


async def _shipped(subject: Subject, until: float) -> None:
    if subject.store is None:
        return
    with subject.store.client() as client:
        while client.xlen(OUTBOX):
            if monotonic() > until:
                raise TimeoutError(f"{subject.name} does not ship its audit")
            await asyncio.sleep(0.05)
