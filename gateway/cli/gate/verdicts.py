"""What the gate says of a criterion, and how many samples it takes to say it.

Too few samples are never a pass. They fail all the same when the bad ones
are too many even if every sample that is missing were good.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


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


class Criterion(Struct, frozen=True):
    """One row. `measured`: None when there is nothing to measure. `note`: what was seen."""

    criterion: str
    limit: str
    threshold: float
    unit: Unit
    minimum: int
    measured: float | None = None
    samples: int = 0
    verdict: Verdict = Verdict.TOO_FEW
    note: str = ""

    def judged(
        self, measured: float | None, samples: int, verdict: Verdict, note: str
    ) -> "Criterion":
        return replace(self, measured=measured, samples=samples, verdict=verdict, note=note)


def enough(one_in: int) -> int:
    """The rule of three: with none bad among these, at most one in `one_in` is bad (by 95 %)."""
    return 3 * one_in


def share(bad: int, total: int, *, one_in: int) -> Verdict:
    """At most one in `one_in` is bad. Whole numbers, so that the edge itself passes."""
    if bad * one_in > max(total, enough(one_in)):
        return Verdict.FAILED
    return Verdict.PASSED if total >= enough(one_in) else Verdict.TOO_FEW
