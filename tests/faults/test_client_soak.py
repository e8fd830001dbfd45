"""Agents that lose answers and call again, at three gateways: a small run of the bench's."""

import asyncio
from collections import Counter
from random import Random

import pytest

from relay_client import AsyncRelay, NoAnswer
from tests.bench.agents import Agent, Outcome, Plan, Tally, facts, soaked
from tests.support.fleet import Site, gateways
from tests.support.forks import Forks
from tests.support.lossy import lossy
from tests.support.target import Target


@pytest.mark.timeout(120)
async def test_agents_that_retry_deliver_once(site: Site, forks: Forks, target: Target) -> None:
    """400 calls of 12 clients of both kinds; what was lost came again, and nothing twice."""
    outcome = await soaked(site, forks, target, Plan(clients=12, calls=400))
    assert outcome.whole, facts(outcome)
    assert outcome.tally.calls >= 400
    assert min(outcome.lost.values()) > 0
    assert len(outcome.lost) == 3
    assert outcome.tally.replays > 20
    statuses = Counter(outcome.tally.statuses.values())
    assert statuses["success"] + statuses["unknown"] == len(outcome.tally.statuses) > 100


async def test_a_caller_that_previews_anew_delivers_twice(
    site: Site, forks: Forks, target: Target
) -> None:
    """What the count must find: a lost answer, and a new preview of the same intent."""
    tally = Tally()
    async with gateways(forks, site.env()) as [gateway]:
        async with AsyncRelay(gateway.url) as relay:
            agent = Agent(relay, target.url, tally, Random(1))
            preview = await agent._preview(1)
        async with (
            lossy([gateway.url], {"answer": 1.0}, Random(1)) as between,
            AsyncRelay(between.url, tries=1) as cut,
        ):
            with pytest.raises(NoAnswer):
                await cut.execute(preview)
        async with AsyncRelay(gateway.url) as relay:
            await Agent(relay, target.url, tally, Random(1)).act(1)
    async with asyncio.timeout(10):
        await target.arrived.wait()
    deliveries = Counter([1] * len(target.deliveries))
    assert Outcome(tally, deliveries, Counter()).doubles == [1]
