"""Whether this process has run lately. One that was stopped (SIGSTOP, a frozen or suspended
machine) knows of nothing that happened meanwhile, and its timers are as late as it is.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds; who looks more often than this has not looked for so long: then he was stopped.
AWAKE = 5.0
# Linux's goes on while the machine is suspended, its monotonic one does not.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    return time.clock_gettime(CLOCK)


class Suspension:
    def __init__(self, clock: Callable[[], float] = boot_seconds) -> None:
        self._clock = clock
        self._until = float("inf")  # no timer runs before the first look
        self._looking_awake = False

    @contextmanager
    def looking(self) -> Iterator[None]:
        """One at a time. A look that lasts, as where a database hangs, is no sleep; one that fails
        (raises) after a sleep is no look.
        """
        awake = self._looking_awake = self._clock() <= self._until
        looked = False
        try:
            yield
            looked = True
        finally:
            self._looking_awake = False
            if awake or looked:
                self._until = self._clock() + AWAKE

    @property
    def was_suspended(self) -> bool:
        """Whether nobody has looked for too long."""
        return self._clock() > self._until and not self._looking_awake
