"""Every check of the scripts is needed: without it, what it prevents happens."""

import asyncio

import pytest
from redis.asyncio import Redis

from stores.approvals import Decision
from stores.redis import names
from stores.redis.approvals import (
    Approvals,
    Decided,
    DigestMismatch,
    Ended,
    Executed,
    OwnRequest,
    Withdrawn,
)
from stores.redis.previews import Live, NoPreview, Previews
from stores.redis.reservations import NotApproved, Reserved
from stores.redis.runs import Runs
from tests.support.approvals import decide, found, hold, withdraw
from tests.support.edited import Edited, without
from tests.support.reservations import LEASE, reservation
from tests.support.valkey import Valkey

OWN = "if maker == requester or maker == requester_key then return {'own'} end"
DIGEST = "if digest ~= of then return {'mismatch', of} end"
ENDED = "if state ~= 'pending' then return {'ended', state} end"
GONE = "redis.call('HDEL', approval, 'held')"
SPENT = "if run_id then return {'spent', run_id} end"
COUNTED = "if tonumber(redis.call('HGET', approval, 'left:' .. rule)) > 0 then return false end"
HELD = "if held_until then return {'held', tonumber(held_until)} end"
WORDS: tuple[Decision, Decision] = ("approve", "deny")
AGAIN = "cjson.decode(before).decision == decision.decision"


def edited(client: "Redis", script: str, line: str, instead: str = "") -> Edited:
    return Edited(client, **{script: without(script, line, instead)})


def without_endings(client: "Redis") -> Edited:
    """Neither the state is checked nor the bytes go with a denial: each alone is enough."""
    source = without("decide", ENDED)
    assert source.count(GONE) == 1
    return Edited(client, decide=source.replace(GONE, ""))


@pytest.mark.parametrize("checked", [True, False])
async def test_requesters_are_kept_out_by_the_script(valkey: Valkey, checked: bool) -> None:
    """Whatever the handler has let through."""
    async with valkey.async_client() as client:
        approvals = Approvals(Edited(client) if checked else edited(client, "decide", OWN))
        await hold(approvals)
        answer = await decide(approvals, "agent")
        assert answer == (OwnRequest() if checked else Decided("approved"))


@pytest.mark.parametrize("checked", [True, False])
async def test_other_bytes_are_kept_out_by_the_script(valkey: Valkey, checked: bool) -> None:
    async with valkey.async_client() as client:
        approvals = Approvals(Edited(client) if checked else edited(client, "decide", DIGEST))
        await hold(approvals)
        answer = await decide(approvals, "ann", digest="sha256:e")
        assert answer == (DigestMismatch("sha256:d") if checked else Decided("approved"))


@pytest.mark.parametrize("checked", [True, False])
async def test_a_denial_stays_the_ending(valkey: Valkey, checked: bool) -> None:
    async with valkey.async_client() as client:
        approvals = Approvals(Edited(client) if checked else without_endings(client))
        await hold(approvals)
        await decide(approvals, "ann", "deny")
        answer = await decide(approvals, "bob")
        assert answer == (Ended("denied") if checked else Decided("approved"))


@pytest.mark.parametrize("checked", [True, False])
async def test_the_quorum_is_counted_by_the_script(valkey: Valkey, checked: bool) -> None:
    """Two approvals of one subject are one."""
    async with valkey.async_client() as client:
        scripts = Edited(client) if checked else edited(client, "decide", AGAIN, "false")
        approvals = Approvals(scripts)
        await hold(approvals, 2)
        await decide(approvals, "ann")
        answer = await decide(approvals, "ann", key="k-2")
        assert answer == Decided("pending" if checked else "approved")
        none = edited(client, "decide", COUNTED)
        await hold(approvals, 2, preview_id="p-2")
        state = "pending" if checked else "approved"
        answer = await decide(approvals if checked else Approvals(none), "bob", preview_id="p-2")
        assert answer == Decided(state)  # type: ignore[arg-type]


@pytest.mark.parametrize("checked", [True, False])
async def test_a_run_cannot_be_given_up(valkey: Valkey, checked: bool) -> None:
    """Where nothing looks at the run, an approval is withdrawn whose request is being sent."""
    async with valkey.async_client() as client:
        scripts = Edited(client) if checked else edited(client, "withdraw", SPENT)
        approvals = Approvals(scripts)
        await hold(approvals)
        await decide(approvals, "ann")
        assert isinstance(await Runs(scripts).reserve(reservation(), lease=LEASE), Reserved)
        answer = await withdraw(approvals)
        assert answer == (Executed("run-1") if checked else Withdrawn("withdrawn"))


@pytest.mark.parametrize("checked", [True, False])
async def test_one_ending_in_a_race(valkey: Valkey, checked: bool) -> None:
    """Six approve and six deny at once, over connections of their own. Without the check, what was
    denied is executable.
    """
    denied_and_executable = 0
    async with valkey.async_client() as client:
        scripts = Edited(client) if checked else without_endings(client)
        approvals = Approvals(scripts)
        for number in range(20):
            preview_id = f"p-{number}"
            await hold(approvals, preview_id=preview_id)
            answers = await asyncio.gather(
                *(
                    decide(
                        approvals, f"s{n}", "approve" if n % 2 else "deny", preview_id=preview_id
                    )
                    for n in range(12)
                )
            )
            ends = {answer.state for answer in answers if isinstance(answer, Decided)}
            preview = await Previews(scripts).find("w", preview_id)
            assert isinstance(preview, Live | NoPreview)
            denied_and_executable += "denied" in ends and len(ends) > 1
    assert (denied_and_executable == 0) == checked


@pytest.mark.parametrize("checked", [True, False])
async def test_what_is_held_is_not_reserved(valkey: Valkey, checked: bool) -> None:
    """A `reserve` that took the document from the approval would send what was not approved."""
    line = "local state, decide_by = state_without(doc, approval, now)"
    taken = "doc, origin = redis.call('HGET', approval, 'held'), '{}'\n" + line
    async with valkey.async_client() as client:
        scripts = Edited(client) if checked else edited(client, "reserve", line, taken)
        await hold(Approvals(scripts))
        answer = await Runs(scripts).reserve(reservation(), lease=LEASE)
        assert isinstance(answer, NotApproved if checked else Reserved)
        await client.flushall()  # such a preview would never expire


@pytest.mark.parametrize("checked", [True, False])
async def test_a_hold_that_is_sent_twice_undoes_no_decision(valkey: Valkey, checked: bool) -> None:
    """Its reply may be lost, and an approver be quicker than the second attempt."""
    async with valkey.async_client() as client:
        approvals = Approvals(Edited(client) if checked else edited(client, "hold", HELD))
        decide_by = await hold(approvals)
        await decide(approvals, "ann", "deny")
        again = await hold(approvals)
        assert again == decide_by or not checked
        assert (await found(approvals)).state == ("denied" if checked else "pending")
        assert await client.xlen(names.outbox("w")) == (2 if checked else 3)
