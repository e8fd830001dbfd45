"""The rate algorithm agrees with a plain model of it, to the microsecond, on a controlled clock."""

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
# One script runs a whole schedule, so that no bucket expires in between.
HELD = f"""
local clock
{QUOTA.replace("redis.call('TIME')", "clock")}
local answers = {{}}
for n = 3, #ARGV do
  clock = {{0, ARGV[n]}}
  local buckets = buckets_of(KEYS[1], ARGV[1], KEYS[2], ARGV[2])
  local empty, retry_ms, quota = spend(buckets, true)
  answers[#answers + 1] = {{empty or '', retry_ms, quota, redis.call('GET', KEYS[1]) or ''}}
end
redis.call('DEL', unpack(KEYS))
return answers
"""
MINUTE = 60_000_000
# In 2100, so that no bucket expires during the test.
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
    """Spend one request at each of these microseconds after `START`."""
    assert QUOTA.count("redis.call('TIME')") == 1
    args = [*limits, *(START + moment for moment in moments)]
    answers: Any = client.eval(HELD, 2, "{w}:of_key", "{w}:of_workspace", *args)
    return [Told(*answer) for answer in answers]


class Bucket:
    """A token bucket: the same rate, modelled the other way."""

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


def model(buckets: Sequence[Bucket], now: int) -> tuple[bytes, int, list[Any]]:
    """Spend one of each bucket or of none, as the script must answer."""
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
    """Times of requests: after each pause, this many at once."""
    turns = st.lists(st.tuples(pauses, st.sampled_from([1, 2, 8, 61])), min_size=1, max_size=8)
    return turns.map(
        lambda found: list(accumulate(p for step, n in found for p in (step, *[0] * (n - 1))))
    )


@settings(max_examples=80, deadline=None)
@given(per_key=LIMITS, per_workspace=LIMITS, moments=schedules(FORTH))
def test_two_buckets_agree_with_the_model(
    client: "Redis", per_key: int, per_workspace: int, moments: list[int]
) -> None:
    """Which requests are granted, which bucket is named, what is left, when it is full, how long to
    wait.
    """
    buckets = [Bucket(b"key", per_key), Bucket(b"workspace", per_workspace)]
    answers = spent(client, (per_key, per_workspace), moments)
    assert [it[:3] for it in answers] == [model(buckets, moment) for moment in moments]


@settings(max_examples=80, deadline=None)
@given(limit=LIMITS, moments=schedules(FORTH | BACK))
def test_a_clock_that_is_set_back_costs_a_horizon_at_most(
    client: "Redis", limit: int, moments: list[int]
) -> None:
    """However far it goes back, requests are counted from the new time."""
    bucket = Bucket(b"key", limit)
    answers = spent(client, (limit, 0), moments)
    assert [it[:3] for it in answers] == [model([bucket], moment) for moment in moments]


@settings(max_examples=50, deadline=None)
@given(limit=LIMITS, moments=schedules(FORTH))
def test_no_window_holds_more_than_burst_and_rate(
    client: "Redis", limit: int, moments: list[int]
) -> None:
    """From any grant to any later one: the limit, and one for each interval between them."""
    answers = spent(client, (limit, 0), moments)
    grants = [moment for moment, it in zip(moments, answers, strict=True) if not it.empty]
    for first, began in enumerate(grants):
        for so_many, ended in enumerate(grants[first:], 1):
            assert so_many <= limit + (ended - began) * limit / MINUTE


@pytest.mark.parametrize("limit", [1, 7, 60, 600, 10_000])
def test_a_request_after_retry_ms_is_granted(client: "Redis", limit: int) -> None:
    """One at `retry_ms`, and no second one. A millisecond before, none."""
    burst = [0] * limit
    [refused] = spent(client, (limit, 0), [*burst, 0])[limit:]
    wait = refused.retry_ms * 1000
    early, one, two = spent(client, (limit, 0), [*burst, wait - 1000, wait, wait])[limit:]
    assert refused.empty == early.empty == two.empty == b"key"
    assert (one.empty, early.retry_ms) == (b"", 1)


def test_a_million_a_minute_are_counted_one_by_one(client: "Redis") -> None:
    """Each request adds 60 microseconds, stored in digits; each 60 give one back."""
    answers = spent(client, (1_000_000, 0), [0] * 1000)
    assert [int(it.kept) - START for it in answers] == list(range(60, 60_001, 60))
    assert answers[-1].quota == [b"key", 999_000, 60]
    [*_, last] = spent(client, (1_000_000, 0), [0] * 1000 + [600])
    assert last.quota[1] == 999_000 + 10 - 1
