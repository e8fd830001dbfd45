"""When a call is tried again: by the `code` of a refusal and its `safe_to_retry`, never by the
status alone.

Every call may be repeated. A preview sends nothing, and an execution is bound to its key or,
without one, to its preview: the gateway sends once and answers with the same run.
"""

import random
import time
from collections.abc import Callable

from msgspec import Struct

from relay_client.problems import ForeignAnswer, Problem, RelayError

AGAIN = frozenset(
    "run_in_progress store_unavailable not_ready rate_limited target_unreachable target_suspended "
    "replica_lost replica_silent no_replica request_timeout issuer_unavailable".split()
)
# Safe, and yet in vain: only a person can decide, and the target stays as forbidden as it was.
IN_VAIN = frozenset(("approval_pending", "target_forbidden"))
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0


class Patience(Struct, frozen=True, kw_only=True):
    """`timeout`: seconds for one try, above the 45 s that a proxy of Relay waits. `tries`: how
    many, with the first. `deadline`: seconds for all of them and the pauses between.
    """

    timeout: float = 60.0
    tries: int = 4
    deadline: float = 180.0
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Tries:
    """The tries of one call."""

    def __init__(self, patience: Patience, *, until: float | None = None) -> None:
        """`until`: on the clock; after the deadline unless given."""
        self._patience = patience
        self._until = patience.clock() + patience.deadline if until is None else until
        self._made = self._internal_errors = 0

    @property
    def timeout(self) -> float:
        """Of the next try. A tenth of a second is for a pause that took too long."""
        left = self._until - self._patience.clock()
        return max(0.1, min(self._patience.timeout, left))

    def pause(self, failure: RelayError) -> float:
        """Seconds until the next try. Raises the failure if there is none."""
        self._made += 1
        self._internal_errors += getattr(failure, "code", None) == "internal_error"
        pause = self._pause(failure)
        in_time = self._patience.clock() + pause < self._until
        if self._made < self._patience.tries and self._worth(failure) and in_time:
            return pause
        raise failure

    def _worth(self, failure: RelayError) -> bool:
        match failure:
            case ForeignAnswer(status=status):
                return not 300 <= status < 400  # a redirect is the same the next time
            case Problem(code="internal_error"):
                return self._internal_errors < 2
            case Problem(code=code, safe_to_retry=safe):
                return (code in AGAIN and safe is not False) or (bool(safe) and code not in IN_VAIN)
        return True

    def _pause(self, failure: RelayError) -> float:
        if failure.retry_after is not None:
            return failure.retry_after
        whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._made - 1))
        return float(whole * (0.5 + self._patience.chance() / 2))
