"""The rate algorithm against a plain model of it, to the microsecond, with its clock in hand."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

import stores
from tests.support.valkey import Valkey

QUOTA = Path(stores.__file__).parent.joinpath("redis", "lua", "include", "quota.lua").read_text()
# One script for a whole schedule, so that nothing expires on the way.
HELD = f"""
local clock
{QUOTA.replace("redis.call('TIME')", "clock")}
local rows, answers = rows_of(KEYS[1], ARGV[1], KEYS[2], ARGV[2]), {{}}
for n = 3, #ARGV do
  clock = {{0, ARGV[n]}}
  local empty, retry_ms, quota = spend(rows, true)
  answers[#answers + 1] = {{empty or '', retry_ms, quota, redis.call('GET', KEYS[1]) or ''}}
end
redis.call('DEL', unpack(KEYS))
return answers
"""
MINUTE = 60_000_000
# In 2100: no bucket expires while the test looks.
START = 4_102_444_800_000_000


class Told(NamedTuple):
    empty: bytes
    retry_ms: int
    quota: list[Any]
    kept: bytes


@pytest.fixture(scope="module")
def client(valkey_server: Valkey) -> "Redis":
    return valkey_server.client()


def spent(client: "Redis", limits: tuple[int, int], moments: Sequence[int]) -> list[Told]:
    """One is asked for at each of these microseconds from `START` on."""
    assert QUOTA.count("redis.call('TIME')") == 1
    args = [*limits, *(START + moment for moment in moments)]
    answers: Any = client.eval(HELD, 2, "{w}:of_key", "{w}:of_workspace", *args)
    return [Told(*answer) for answer in answers]


class Bucket:
    """Tokens that come back with time: the other way to say it."""

    def __init__(self, name: bytes, limit: int) -> None:
        self.name = name
        self.interval = -(-MINUTE // limit)
        self.full = self.has = self.interval * limit
        self._at = -(10**15)  # long ago, whatever the schedule

    def look(self, now: int) -> None:
        self.has = min(self.full, max(0, self.has + now - self._at))
        self._at = now

    @property
    def lacks(self) -> int:
        return max(0, self.interval - self.has)

    @property
    def quota(self) -> list[Any]:
        return [self.name, self.has // self.interval, -(-(self.full - self.has) // 1000)]


def asked(buckets: Sequence[Bucket], now: int) -> tuple[bytes, int, list[Any]]:
    """One of each bucket or of none, as the script must answer it."""
    for bucket in buckets:
        bucket.look(now)
    slowest = max(buckets, key=lambda bucket: bucket.lacks)
    lacks = slowest.lacks
    for bucket in () if lacks else buckets:
        bucket.has -= bucket.interval
    least = min(buckets, key=lambda bucket: bucket.has // bucket.interval)
    return slowest.name if lacks else b"", -(-lacks // 1000), least.quota


LIMITS = st.sampled_from([1, 2, 7, 13, 60])
PAUSES = [0, 1, 999, 1000, 999_999, 1_000_000, 1_000_001, 8_571_428, 8_571_429, 8_571_430]
FORTH = st.sampled_from([*PAUSES, 30_000_000, 59_999_999, MINUTE, 60_000_003, 2 * MINUTE])
BACK = st.sampled_from([-1, -1000, -8_571_429, -MINUTE, -100 * MINUTE, -50_000 * MINUTE])


def schedules(pauses: st.SearchStrategy[int]) -> st.SearchStrategy[list[int]]:
    """Moments: after each pause so many at once."""
    turns = st.lists(st.tuples(pauses, st.sampled_from([1, 2, 8, 61])), min_size=1, max_size=8)
    return turns.map(
        lambda found: list(accumulate(p for step, n in found for p in (step, *[0] * (n - 1))))
    )


@settings(max_examples=80, deadline=None)
@given(per_key=LIMITS, per_workspace=LIMITS, moments=schedules(FORTH))
def test_two_buckets_are_as_the_model_says(
    client: "Redis", per_key: int, per_workspace: int, moments: list[int]
) -> None:
    """Who is granted, which bucket is named, what is left, when it is full, how long to wait."""
    buckets = [Bucket(b"key", per_key), Bucket(b"workspace", per_workspace)]
    told = spent(client, (per_key, per_workspace), moments)
    assert [it[:3] for it in told] == [asked(buckets, moment) for moment in moments]


@settings(max_examples=80, deadline=None)
@given(limit=LIMITS, moments=schedules(FORTH | BACK))
def test_a_clock_that_is_set_back_costs_a_horizon_at_most(
    client: "Redis", limit: int, moments: list[int]
) -> None:
    """However far it goes back, what is spent is counted from there on."""
    bucket = Bucket(b"key", limit)
    told = spent(client, (limit, 0), moments)
    assert [it[:3] for it in told] == [asked([bucket], moment) for moment in moments]


@settings(max_examples=50, deadline=None)
@given(limit=LIMITS, moments=schedules(FORTH))
def test_no_window_holds_more_than_burst_and_rate(
    client: "Redis", limit: int, moments: list[int]
) -> None:
    """From any grant to any later one: the limit, and one for each interval between them."""
    told = spent(client, (limit, 0), moments)
    grants = [moment for moment, it in zip(moments, told, strict=True) if not it.empty]
    for first, began in enumerate(grants):
        for so_many, ended in enumerate(grants[first:], 1):
            assert so_many <= limit + (ended - began) * limit / MINUTE


@pytest.mark.parametrize("limit", [1, 7, 60, 600, 10_000])
def test_who_waits_as_told_is_granted(client: "Redis", limit: int) -> None:
    """At `retry_ms` one goes and no second; a millisecond before, none."""
    burst = [0] * limit
    [refused] = spent(client, (limit, 0), [*burst, 0])[limit:]
    wait = refused.retry_ms * 1000
    early, one, two = spent(client, (limit, 0), [*burst, wait - 1000, wait, wait])[limit:]
    assert refused.empty == early.empty == two.empty == b"key"
    assert (one.empty, early.retry_ms) == (b"", 1)


def test_a_million_a_minute_are_counted_one_by_one(client: "Redis") -> None:
    """Each adds 60 microseconds to what is kept, written in digits; each 60 give one back."""
    told = spent(client, (1_000_000, 0), [0] * 1000)
    assert [int(it.kept) - START for it in told] == list(range(60, 60_001, 60))
    assert told[-1].quota == [b"key", 999_000, 60]
    [*_, last] = spent(client, (1_000_000, 0), [0] * 1000 + [600])
    assert last.quota[1] == 999_000 + 10 - 1
