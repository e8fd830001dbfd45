"""Whether this process was suspended: stopped by SIGSTOP, frozen, or on a machine that slept.

A suspended process missed what happened meanwhile, and its timers are as late as itself.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds. No refresh for this long means the process was suspended.
AWAKE = 5.0
# Linux's boot clock goes on while the machine is suspended; its monotonic clock does not.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    return time.clock_gettime(CLOCK)


class Suspension:
    def __init__(self, clock: Callable[[], float] = boot_seconds) -> None:
        self._clock = clock
        self._until = float("inf")  # no timer runs before the first refresh
        self._refreshing_awake = False

    @contextmanager
    def refreshing(self) -> Iterator[None]:
        """One refresh at a time. A long one, as when a database hangs, is no suspension; one that
        fails (raises) after a suspension does not end it.
        """
        awake = self._refreshing_awake = self._clock() <= self._until
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            self._refreshing_awake = False
            if awake or succeeded:
                self._until = self._clock() + AWAKE

    @property
    def was_suspended(self) -> bool:
        """Whether the last refresh is too long ago."""
        return self._clock() > self._until and not self._refreshing_awake
