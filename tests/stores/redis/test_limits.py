"""Quotas grant as many requests at once as the limit, as many each minute after, and lose none."""

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from stores.redis import names
from stores.redis.limits import Bound, Granted, Limited, Limits, Rates
from stores.redis.scripts import Scripts
from tests.support.valkey import Valkey

OF_KEY = names.bucket("w", "execute", "k-1")
OF_WORKSPACE = names.bucket("w", "execute")
MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)
US = timedelta(microseconds=1)
# Tolerates a busy machine between two calls; shorter than the interval of any limit below.
SLACK = timedelta(seconds=2)


@pytest.fixture
def limits(scripts: Scripts) -> Limits:
    return Limits(scripts)


async def spend(limits: Limits, per_key: int = 0, per_workspace: int = 0) -> Granted | Limited:
    return await limits.spend("w", "k-1", "execute", Rates(per_key, per_workspace))


async def spent_out(limits: Limits, per_key: int = 0, per_workspace: int = 0) -> Limited:
    for _ in range(per_key or per_workspace):
        await spend(limits, per_key, per_workspace)
    answer = await spend(limits, per_key, per_workspace)
    assert isinstance(answer, Limited)
    return answer


async def later(scripts: Scripts, actor: timedelta, bucket: str = OF_KEY) -> None:
    """Let this much time pass for a bucket."""
    full_at = int(await kept(scripts, bucket)) - actor // US
    await scripts._client.set(bucket, full_at, keepttl=True)


async def kept(scripts: Scripts, bucket: str) -> bytes:
    found = await scripts._client.get(bucket)
    assert isinstance(found, bytes)
    return found


async def contents(scripts: Scripts) -> list[bytes]:
    return [await kept(scripts, bucket) for bucket in (OF_KEY, OF_WORKSPACE)]


@pytest.mark.parametrize("rates", [(1, 0), (7, 0), (20, 0), (0, 1), (0, 7), (7, 7)])
async def test_a_full_bucket_grants_its_limit_at_once(
    limits: Limits, rates: tuple[int, int]
) -> None:
    """Each answer has what is left. The next request is limited, for at most one interval."""
    bound: Bound = "key" if rates[0] else "workspace"
    limit = max(rates)
    for left in reversed(range(limit)):
        answer = await spend(limits, *rates)
        assert isinstance(answer, Granted)
        assert answer.quota
        assert answer.quota[:2] == (bound, left)

    refused = await spend(limits, *rates)
    assert isinstance(refused, Limited)
    assert refused.bound == bound
    assert MINUTE / limit - SLACK < refused.retry_in <= MINUTE / limit + MS
    assert refused.quota
    assert refused.quota[:2] == (bound, 0)
    assert MINUTE - SLACK < refused.quota.full_in <= MINUTE + MS


async def test_each_request_delays_the_full_bucket_by_an_interval(limits: Limits) -> None:
    """`full_in` grows by an interval with each request, here of 8.6 s."""
    for spent in range(1, 8):
        answer = await spend(limits, 7)
        assert answer.quota
        assert -2 * MS <= spent * MINUTE / 7 - answer.quota.full_in <= SLACK


@pytest.mark.parametrize("limit", [7, 20])
@pytest.mark.parametrize("intervals", [0, 1, 3])
async def test_one_request_returns_with_each_interval(
    limits: Limits, scripts: Scripts, limit: int, intervals: int
) -> None:
    """The quota returns one by one, not by the minute."""
    await spent_out(limits, limit)
    await later(scripts, intervals * (MINUTE / limit + US))
    for _ in range(intervals):
        assert isinstance(await spend(limits, limit), Granted)
    assert isinstance(await spend(limits, limit), Limited)


async def test_a_request_after_retry_in_is_granted(limits: Limits, scripts: Scripts) -> None:
    """One request after `retry_in`, and no second one. Well before that, none."""
    refused = await spent_out(limits, 7)
    await later(scripts, refused.retry_in - SLACK)
    assert isinstance(await spend(limits, 7), Limited)
    await later(scripts, SLACK)
    assert isinstance(await spend(limits, 7), Granted)
    assert isinstance(await spend(limits, 7), Limited)


@pytest.mark.parametrize("rates", [(5, 2), (2, 5)])
async def test_both_buckets_are_spent_or_none(
    limits: Limits, scripts: Scripts, rates: tuple[int, int]
) -> None:
    """If one bucket is empty, it is named, and the other one stays as it was."""
    for left in (1, 0):
        answer = await spend(limits, *rates)
        assert answer.quota
        assert answer.quota[:2] == ("key" if rates[0] < rates[1] else "workspace", left)
    before = await contents(scripts)

    for _ in range(5):
        answer = await spend(limits, *rates)
        assert isinstance(answer, Limited)
        assert answer.bound == ("key" if rates[0] < rates[1] else "workspace")
    assert await contents(scripts) == before


async def test_the_longer_wait_is_returned(limits: Limits) -> None:
    """If both buckets are empty, the slower one counts."""
    await spent_out(limits, 20, 0)
    await spent_out(limits, 0, 4)
    refused = await spend(limits, 20, 4)
    assert isinstance(refused, Limited)
    assert refused.bound == "workspace"
    assert refused.retry_in > MINUTE / 20


async def test_without_limits_nothing_is_counted(limits: Limits, scripts: Scripts) -> None:
    """Zero is no limit: any number is granted, without a quota and without a bucket."""
    for _ in range(50):
        assert await spend(limits) == Granted(None)
    assert await scripts._client.dbsize() == 0


async def test_each_key_verb_and_workspace_has_its_own_bucket(limits: Limits) -> None:
    """An empty bucket limits no other."""
    rates = Rates(per_key=1)
    for workspace, key_id, verb in [
        ("w", "k-1", "execute"),
        ("w", "k-2", "execute"),
        ("w", "k-1", "preview"),
        ("v", "k-1", "execute"),
    ]:
        assert isinstance(await limits.spend(workspace, key_id, verb, rates), Granted)
        assert isinstance(await limits.spend(workspace, key_id, verb, rates), Limited)


@pytest.mark.parametrize("limit", [1, 7, 60])
async def test_a_bucket_is_kept_until_it_is_full(
    limits: Limits, scripts: Scripts, limit: int
) -> None:
    """It is stored as whole microseconds in digits, and expires exactly then."""
    for _ in range(min(limit, 5)):
        assert isinstance(await spend(limits, limit), Granted)
        full_at = await kept(scripts, OF_KEY)
        assert full_at.isdigit()
        assert await scripts._client.pexpiretime(OF_KEY) == -(-int(full_at) // 1000)


async def test_a_clock_that_was_set_back_locks_no_key_out(limits: Limits, scripts: Scripts) -> None:
    """A bucket that is a year ahead is full within a minute, and grants one request an interval."""
    await spend(limits, 7, 20)
    for bucket in (OF_KEY, OF_WORKSPACE):
        await later(scripts, -timedelta(days=365), bucket)
        await scripts._client.expire(bucket, timedelta(days=365))

    refused = await spend(limits, 7, 20)
    assert isinstance(refused, Limited)
    assert refused.retry_in <= MINUTE / 7 + MS
    for bucket in (OF_KEY, OF_WORKSPACE):
        assert await scripts._client.pttl(bucket) <= 60_001
        await later(scripts, refused.retry_in, bucket)
    assert isinstance(await spend(limits, 7, 20), Granted)


async def test_a_changed_limit_counts_at_once(limits: Limits) -> None:
    """Half of what was spent is half of any limit: five of ten; of two, none that is whole."""
    for _ in range(10):
        await spend(limits, 20)
    for limit, left in ((10, 4), (2, 0)):
        answer = await spend(limits, limit)
        assert isinstance(answer, Granted if limit == 10 else Limited)
        assert answer.quota
        assert answer.quota.left == left


async def test_no_window_holds_more_than_burst_and_rate(valkey: Valkey) -> None:
    """Four clients ask as fast as they can until some grants come from the rate. Each grant is
    between two readings of the server's clock.
    """
    grants: list[tuple[int, int]] = []

    async def hammer() -> None:
        async with Redis(unix_socket_path=str(valkey.socket)) as client:
            scripts = Scripts(client)
            limits, before = Limits(scripts), await moment(client)
            while len(grants) < 605:
                granted = await spend(limits, 600, 100_000)
                after = await moment(client)
                if isinstance(granted, Granted):
                    grants.append((before, after))
                before = after
            await scripts.close()

    await asyncio.gather(*(hammer() for _ in range(4)))
    grants.sort()
    for first, (began, _) in enumerate(grants):
        for so_many, (_, ended) in enumerate(grants[first:], 1):
            assert so_many <= 600 + (ended - began) / 100_000


async def moment(client: "Redis") -> int:
    seconds, microseconds = await client.time()
    return int(seconds) * 1_000_000 + int(microseconds)
