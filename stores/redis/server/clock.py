"""Notice when the clock of Redis jumps. Leases are judged by it: a jump ahead ends them early, and
after a jump back the run of a dead gateway seems to be in flight for as long as the jump.
"""

import time
from collections.abc import Callable
from datetime import timedelta

# Seconds. A send's deadline ends this long before its lease, so that a smaller jump misjudges none.
JUMP_TOLERANCE = 5.0
# Of a run with the default ACTION_TIMEOUT.
LEASE = timedelta(seconds=20)
# Seconds. A slower reply tells the time too badly.
REPLY_MAX = 2.0
# Linux's boot clock goes on while the machine is suspended; its monotonic clock does not.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    return time.clock_gettime(CLOCK)


class ServerClock:
    def __init__(self, lease: timedelta = LEASE, now: Callable[[], float] = boot_seconds) -> None:
        """`lease`: the longest that a run has."""
        self._lease = lease.total_seconds()
        self.now = now
        self._offset: float | None = None
        self._jump = 0.0
        self._until = float("-inf")

    def jump(self, server_seconds: float, *, asked: float) -> float:
        """By how many seconds the clock has jumped, while leases may be misjudged for it; else 0.

        `asked`: when the server was asked for its time, by `now`.
        """
        now = self.now()
        if now - asked > REPLY_MAX:
            return self._jump
        offset = server_seconds - now
        step = 0.0 if self._offset is None else offset - self._offset
        self._offset = offset
        if abs(step) > JUMP_TOLERANCE:
            self._jump, self._until = step, now + self._lease + max(0.0, -step)
        elif now > self._until:
            self._jump = 0.0
        return self._jump
