"""Four gateways share one quota: each knows what the others have granted."""

import asyncio

import pytest

from stores.redis import names
from tests.faults.storm import Plan, Storm, burst, stormy
from tests.support.fleet import WORKSPACE, Site
from tests.support.forks import Forks
from tests.support.target import Target
from tests.support.wire import Answer, connected

# 16 lines of key A, then 48 of three keys: 3,072 requests.
PLAN = Plan(of_key=120, of_workspace=240, lines=4, times=48)


async def test_no_window_holds_more_than_its_limit_and_a_burst(
    site: Site, forks: Forks, target: Target
) -> None:
    """For a key and a workspace, in windows of any length, and no less is granted. A caller that
    waits for Retry-After is not refused again; a replay spends nothing.
    """
    async with stormy(site, forks, target, PLAN) as storm:
        await storm.ask("A")
        bound_by_key = len(storm.refused)
        await storm.ask("ABC")
        await replay_everywhere(site, storm)
        came_back = await honoured(storm)

    assert came_back.status == 200
    assert len(storm.all) == len(target.deliveries)
    assert PLAN.of_key - 1 < burst(storm.granted["A"], PLAN.of_key) <= PLAN.of_key
    assert PLAN.of_workspace - 1 < burst(storm.all, PLAN.of_workspace) <= PLAN.of_workspace
    for refused in storm.refused:
        assert (refused.status, refused.body["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "r=0" in refused.headers["ratelimit"]
    details = [refused.body["detail"] for refused in storm.refused]
    assert bound_by_key > PLAN.of_key
    assert all("This API key" in detail for detail in details[:bound_by_key])
    assert sum("The keys of this workspace" in detail for detail in details) > PLAN.of_key


async def replay_everywhere(site: Site, storm: Storm) -> None:
    """Replay without quota: the answer comes, and the bucket is unchanged."""
    bucket = names.bucket(WORKSPACE, "execute")
    bearer = f"Authorization: Bearer {storm.secrets['A']}"
    with site.valkey.client() as redis:
        before = redis.get(bucket)
        for url in storm.urls:
            async with connected(url) as connection:
                for done in storm.done[:10]:
                    answer = await connection.execute(done, done, 0, bearer)
                    assert (answer.status, answer.headers["idempotent-replayed"]) == (200, "true")
        assert redis.get(bucket) == before


async def honoured(storm: Storm) -> Answer:
    """Use up the quota and wait for Retry-After; the answer to the next execution."""
    preview_id = next(storm.previews)
    async with connected(storm.urls[-1]) as connection:
        while (answer := await storm.execute(connection, preview_id, "A")).status == 200:
            preview_id = next(storm.previews)
        # No event to wait for: Retry-After promises that this time is enough.
        await asyncio.sleep(int(answer.headers["retry-after"]))
        return await storm.execute(connection, preview_id, "A")


@pytest.mark.parametrize(
    ("granted", "held"),
    [
        ([0] * 10, 10),
        ([*range(0, 60_000, 1000)], 1),
        ([0] * 10 + [*range(1000, 20_000, 1000)], 10),
        ([0] * 10 + [10_000] * 11, 11),
        ([0] * 10 + [10_000] * 10, 10),
    ],
    ids=["at once", "at the rate", "both", "one too many", "as many as had grown"],
)
def test_a_burst_is_the_part_above_the_rate(granted: list[int], held: int) -> None:
    """Of 60 a minute, less the millisecond that each time may be cut by."""
    assert burst(granted, 60) == pytest.approx(held, abs=0.02)
