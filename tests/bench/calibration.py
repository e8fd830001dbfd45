"""How fast a core is just now, told by a loop of fixed work.

Clock rate, neighbours of a virtual machine and shared caches change what a microsecond of CPU
does. CPU time is given as that of a core which runs the loop in REFERENCE_SECONDS.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import thread_time

# What the loop takes on the quiet machine of tests/bench/README.md, so that its figures are
# close to the time that passed there.
REFERENCE_SECONDS = 0.0029
STEPS = 12_000
TIMES = 5


def loop_seconds(core: int) -> float:
    """CPU seconds of one loop on this core, the median of five."""
    with _pinned(core):
        return median(_timed() for _ in range(TIMES))


def calibrated(cpu_seconds: float, loop: float) -> float:
    """The CPU seconds that a core of the reference speed would have used."""
    return cpu_seconds * REFERENCE_SECONDS / loop


def _timed() -> float:
    started = thread_time()
    _loop()
    return thread_time() - started


def _loop() -> int:
    """Work like that of a gateway: attributes, dictionaries, short strings and bytes."""
    seen: dict[str, bytes] = {}
    for step in range(STEPS):
        name = f"header-{step & 255}"
        seen[name] = name.encode() + seen.get(name, b"")[-16:]
    return len(seen)


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
