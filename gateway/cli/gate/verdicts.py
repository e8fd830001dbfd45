"""What the gate says of a criterion, and how many samples it takes to say it.

Too few samples are never a pass. They fail all the same when the bad ones
are too many even if every sample that is missing were good.
"""

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    PASSED = "pass"
    FAILED = "fail"
    TOO_FEW = "too few samples"
    NOT_JUDGED = "not judged"


class Unit(StrEnum):
    RATIO = "ratio"
    SECONDS = "seconds"
    MINUTES = "minutes"
    BYTES = "bytes"
    TIMES = "times"
    REPLICAS = "replicas"


class Criterion(Struct, kw_only=True, frozen=True):
    """One row. `measured`: None when there is nothing to measure. `note`: what was seen."""

    criterion: str
    limit: str
    threshold: float
    measured: float | None
    unit: Unit
    samples: int
    minimum: int
    verdict: Verdict
    note: str = ""


def enough(one_in: int) -> int:
    """The rule of three: none bad among so many shows, by 95 %, at most one in `one_in`."""
    return 3 * one_in


def share(bad: int, total: int, *, one_in: int) -> Verdict:
    """At most one in so many is bad. Whole numbers, so that the edge itself passes."""
    if bad * one_in > max(total, enough(one_in)):
        return Verdict.FAILED
    return Verdict.PASSED if total >= enough(one_in) else Verdict.TOO_FEW
