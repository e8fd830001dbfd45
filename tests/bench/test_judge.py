"""The judge of `.ci/run`: noise passes, a gross loss does not."""

from tests.bench.judge import CPU_BOUND, RATE_BOUND, Judgement, judge
from tests.bench.measuring import Sample


def sample(*, rate: float, cpu_us: float) -> Sample:
    return Sample(rate, 1.0, 1.0, cpu_us, 0.1, 2.9)


# Three rounds of a busy machine, as they were measured.
RELAY = [sample(rate=1153, cpu_us=828), sample(rate=499, cpu_us=995), sample(rate=566, cpu_us=1032)]
FLOOR = [
    sample(rate=2306, cpu_us=327),
    sample(rate=1043, cpu_us=394),
    sample(rate=1353, cpu_us=331),
]


def slower(samples: list[Sample], factor: float) -> list[Sample]:
    return [sample(rate=s.rate / factor, cpu_us=s.cpu_us * factor) for s in samples]


def test_a_busy_machine_loses_nothing() -> None:
    assert not judge(RELAY, FLOOR).lost


def test_a_gateway_of_a_third_of_the_speed_has_lost() -> None:
    assert judge(slower(RELAY, 3), FLOOR).lost


def test_a_gateway_that_waits_has_lost() -> None:
    """A delay that uses no CPU shows in the rate alone."""
    waiting = [s._replace(rate=s.rate / 4) for s in RELAY]
    assert judge(waiting, FLOOR).lost


def test_one_good_round_is_enough() -> None:
    lost = Judgement([RATE_BOUND - 0.01] * 3, [CPU_BOUND - 0.01] * 3)
    kept = Judgement([*lost.rate, RATE_BOUND], [*lost.cpu, CPU_BOUND])
    assert lost.lost
    assert not kept.lost
