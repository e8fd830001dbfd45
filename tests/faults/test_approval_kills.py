"""Wherever a gateway is killed, nothing is executable without approval, and no approval is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import httpx2
import pytest

from stores.redis import names
from tests.support.deciding import code, decide, digest_of
from tests.support.fleet import WORKSPACE, Site
from tests.support.forks import Forks
from tests.support.gateways import Relay, client
from tests.support.line import Instant, Step, script
from tests.support.office import POLICY, Office, at, working
from tests.support.target import Target

HOLD, DECIDE, WITHDRAW, RESERVE = map(script, ("hold", "decide", "withdraw", "reserve"))
MOMENTS: list[Instant] = ["before", "after"]


@asynccontextmanager
async def doomed(office: Office, forks: Forks, name: str, step: Step) -> AsyncIterator[Relay]:
    """The client of one more gateway, which is killed at this step."""
    site = office.site
    env = site.env(RELAY_APPROVAL_POLICY=str(site.folder / "policy-0.toml"))
    async with (
        site.redis_line() as redis,
        forks.gateway({**env, "REDIS_URL": redis.url}) as fork,
        client(fork.url) as opened,
    ):
        opened.headers["Authorization"] = office.bearer(name)
        redis.at(step, fork.kill)
        yield opened
        assert redis.reached.is_set(), "it was not killed"


async def killed(asked: Awaitable[httpx2.Response]) -> None:
    with pytest.raises(httpx2.TransportError):
        await asked


def executable(site: Site, preview_id: str) -> bool:
    with site.valkey.client() as redis:
        return bool(redis.hexists(names.preview(WORKSPACE, preview_id), "doc"))


async def state(office: Office, preview_id: str) -> str:
    return str((await office.ann.get(f"/approvals/{preview_id}")).json()["state"])


async def events(site: Site) -> Counter[tuple[str, str]]:
    """Each change of an approval, with the state that follows. Checks the chain."""
    await site.shipped()
    books = await site.books()
    return Counter((it.event, it.status) for it in books if it.event.startswith("approval."))


REQUESTED, APPROVED = ("approval.requested", "pending"), ("approval.decided", "approved")


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_the_hold(
    office: Office, forks: Forks, target: Target, moment: Instant
) -> None:
    """Either nothing is there, or it waits, and others can decide on it."""
    async with doomed(office, forks, "agent", Step(HOLD, moment)) as relay:
        await killed(relay.preview(at(target.url, "/one")))
    waiting = (await office.ann.get("/approvals")).json()["approvals"]
    assert len(waiting) == (moment == "after")
    for it in waiting:
        assert not executable(office.site, it["preview_id"])
        await decide(office.ann, it["preview_id"])
        assert (await office.agent.execute(it["preview_id"])).json()["status"] == "success"
    recorded = Counter([REQUESTED, APPROVED] if waiting else [])
    assert await events(office.site) == recorded


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_the_decision(
    office: Office, forks: Forks, target: Target, moment: Instant
) -> None:
    """The approver repeats it elsewhere: it counts once. The approval is executed once."""
    preview_id = await office.held(target.url)
    digest = await digest_of(office.ann, preview_id)
    async with doomed(office, forks, "ann", Step(DECIDE, moment)) as relay:
        await killed(decide(relay, preview_id, digest=digest))
    came = "approved" if moment == "after" else "pending"
    assert await state(office, preview_id) == came
    assert executable(office.site, preview_id) == (came == "approved")
    again = await decide(office.other("ann"), preview_id, digest=digest)
    assert again.json()["state"] == "approved"
    agents = (office.agent, office.other("agent"))
    runs = await asyncio.gather(*(agent.execute(preview_id, "order-1") for agent in agents))
    assert {it.json()["status"] for it in runs} == {"success"}
    assert len(target.deliveries) == 1
    assert await events(office.site) == Counter([REQUESTED, APPROVED])


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_a_denial(
    office: Office, forks: Forks, target: Target, moment: Instant
) -> None:
    """A denial that has arrived is final; one that has not leaves the preview pending."""
    preview_id = await office.held(target.url)
    digest = await digest_of(office.ann, preview_id)
    async with doomed(office, forks, "ann", Step(DECIDE, moment)) as relay:
        await killed(decide(relay, preview_id, "deny", digest=digest, reason="No."))
    assert not executable(office.site, preview_id)
    bob = await decide(office.bob, preview_id, digest=digest)
    if moment == "after":
        assert code(bob) == (409, "approval_ended")
        assert code(await office.agent.execute(preview_id)) == (403, "approval_denied")
    else:
        assert bob.json()["state"] == "approved"


@pytest.mark.parametrize("approved", [False, True])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_the_withdrawal(
    office: Office, forks: Forks, target: Target, moment: Instant, approved: bool
) -> None:
    """What was given up is never sent; otherwise all is as before."""
    preview_id = await (office.approved if approved else office.held)(target.url)
    async with doomed(office, forks, "agent", Step(WITHDRAW, moment)) as relay:
        await killed(relay.delete(f"/approvals/{preview_id}"))
    before, after = ("approved", "withdrawn") if approved else ("pending", "cancelled")
    assert await state(office, preview_id) == (after if moment == "after" else before)
    assert executable(office.site, preview_id) == (approved and moment == "before")
    answer = await office.agent.execute(preview_id, wait=0)
    expected = 403 if moment == "after" else 200 if approved else 409
    assert answer.status_code == expected
    assert len(target.deliveries) == (expected == 200)
    assert (await events(office.site))["approval.ended", after] == (moment == "after")


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_the_reservation(
    office: Office, forks: Forks, target: Target, moment: Instant
) -> None:
    """Reserved and not sent: the run is unknown and the approval is spent. Not reserved: the
    approval is there.
    """
    preview_id = await office.approved(target.url)
    async with doomed(office, forks, "agent", Step(RESERVE, moment)) as relay:
        await killed(relay.execute(preview_id, "order-1"))
    office.site.end_leases()
    run = (await office.agent.execute(preview_id, "order-1")).json()
    assert run["status"] == ("unknown" if moment == "after" else "success")
    other = await office.agent.execute(preview_id, "order-2")
    assert code(other) == (409, "preview_already_executed")
    assert len(target.deliveries) == (moment == "before")


async def test_killed_before_an_outdated_approval_is_ended(
    each_site: Site, forks: Forks, target: Target
) -> None:
    """The run was given back already: the next execute judges it again, and sends nothing."""
    stricter = POLICY.replace("approvals = 1", "approvals = 2")
    async with working(each_site, forks, stricter, POLICY) as office:
        preview_id = await office.other("agent").preview_id(at(target.url, "/one"))
        assert (await decide(office.ann, preview_id)).json()["state"] == "approved"
        async with doomed(office, forks, "agent", Step(WITHDRAW, "before")) as relay:
            await killed(relay.execute(preview_id, "order-1"))
        assert await state(office, preview_id) == "approved"
        again = await office.agent.execute(preview_id, "order-1")
        assert code(again) == (409, "approval_outdated")
        assert await state(office, preview_id) == "outdated"
    assert not target.deliveries
