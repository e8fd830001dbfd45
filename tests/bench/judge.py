"""When `.ci/run` says that speed was lost: only if every round is below the bound."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.bench.figures import ratios
from tests.bench.measuring import Sample

# Of an execute at 32 connections, held against the floor in the same round. The best of three
# rounds was 0.48 or more in rate and 0.40 or more in CPU, on a machine with ten busy processes too.
# The bounds are about half of that.
RATE_BOUND = 0.22
CPU_BOUND = 0.20


class Judgement(NamedTuple):
    """The rate over the floor's, and the floor's CPU over the gateway's, round by round."""

    rate: list[float]
    cpu: list[float]

    @property
    def lost(self) -> bool:
        return max(self.rate) < RATE_BOUND or max(self.cpu) < CPU_BOUND

    def text(self) -> str:
        shown = [", ".join(f"{ratio:.2f}" for ratio in each) for each in self]
        return (
            f"{'LOST' if self.lost else 'kept'}: rate of the floor {shown[0]} (at least "
            f"{RATE_BOUND} in one round), CPU of the floor {shown[1]} (at least {CPU_BOUND})"
        )


def judge(subject: Sequence[Sample], floor: Sequence[Sample]) -> Judgement:
    return Judgement(
        ratios([sample.rate for sample in subject], [sample.rate for sample in floor]),
        ratios([sample.cpu_us for sample in floor], [sample.cpu_us for sample in subject]),
    )
