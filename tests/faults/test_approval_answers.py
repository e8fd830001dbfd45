"""What becomes of an approval, and what each state answers: on two gateways and both databases."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from stores.redis import names
from tests.support.deciding import code, decide, digest_of
from tests.support.fleet import WORKSPACE
from tests.support.office import Office, at
from tests.support.target import Target

MINUTE = timedelta(minutes=1)


async def shown(office: Office, preview_id: str) -> dict[str, Any]:
    """The same on both gateways."""
    clients = (office.ann, office.other("ann"))
    one, other = [(await ann.get(f"/approvals/{preview_id}")).json() for ann in clients]
    assert {**one, "request_id": ""} == {**other, "request_id": ""}
    return dict(one)


async def ended(office: Office, preview_id: str) -> tuple[str, httpx2.Response]:
    """The state, and what an execute answers, on either gateway, as GET of the preview does."""
    answers = [
        await agent.execute(preview_id, "order-1", wait=0)
        for agent in (office.agent, office.other("agent"))
    ]
    answers.append(await office.agent.get(f"/previews/{preview_id}"))
    assert len({(*code(answer), answer.json()["detail"]) for answer in answers}) == 1
    assert answers[0].headers["Location"] == f"/approvals/{preview_id}"
    return (await shown(office, preview_id))["state"], answers[0]


async def test_pending_to_approved_to_executed(office: Office, target: Target) -> None:
    """Each step on another gateway; the retry replays. The run is not given up."""
    preview_id = await office.held(target.url, "/two")
    assert (await shown(office, preview_id))["state"] == "pending"
    assert (await decide(office.other("ann"), preview_id)).json()["state"] == "pending"
    assert (await decide(office.bob, preview_id)).json()["state"] == "approved"
    assert (await shown(office, preview_id))["state"] == "approved"
    run = (await office.other("agent").execute(preview_id, "order-1")).json()
    assert (run["status"], run["approval"]["approvers"]) == ("success", ["ann", "bob"])
    assert len(run["approval"]["policies"]) == 1
    after = await shown(office, preview_id)
    assert (after["state"], after["run_id"]) == ("executed", run["run_id"])
    given_up = await office.agent.delete(f"/approvals/{preview_id}")
    assert code(given_up) == (409, "preview_already_executed")
    assert given_up.json()["run_id"] == run["run_id"]
    again = await office.agent.execute(preview_id, "order-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 1


async def test_pending(office: Office, target: Target) -> None:
    """409 that says what it waits for; the key is not taken."""
    preview_id = await office.held(target.url, "/two")
    pending = await office.other("agent").execute(preview_id, "order-1", wait=0)
    assert code(pending) == (409, "approval_pending")
    assert pending.headers["Retry-After"] == "5"
    assert pending.headers["Location"] == f"/approvals/{preview_id}"
    body = pending.json()
    assert body["safe_to_retry"] is True
    approval = body["approval"]
    assert (approval["state"], approval["needed"]) == ("pending", 2)
    assert (approval["rules"], approval["from"]) == (["one", "two"], ["role:approver"])
    assert approval["decide_by"] == (await shown(office, preview_id))["decide_by"]
    got = await office.agent.get(f"/previews/{preview_id}")
    assert {**got.json(), "request_id": ""} == {**body, "request_id": ""}
    free = await office.agent.preview_id(at(target.url, "/free"))
    assert (await office.agent.execute(free, "order-1")).json()["status"] == "success"


async def test_an_execute_waits_for_the_decision(office: Office, target: Target) -> None:
    """As long as `Prefer: wait` says, on another gateway than the decision's."""
    preview_id = await office.held(target.url)
    waiting = asyncio.create_task(office.other("agent").execute(preview_id, "order-1", wait=30))
    reading = asyncio.create_task(
        office.other("ann").get(f"/approvals/{preview_id}", headers={"Prefer": "wait=30"})
    )
    digest = await digest_of(office.ann, preview_id)
    assert not waiting.done()
    await decide(office.ann, preview_id, digest=digest)
    async with asyncio.timeout(10):
        assert (await waiting).json()["status"] == "success"
        assert (await reading).json()["state"] in ("approved", "executed")


@pytest.mark.parametrize("path", ["/one", "/two"])
async def test_pending_to_denied(office: Office, target: Target, path: str) -> None:
    """403 with the reason and by whom; final, and no other ending follows."""
    preview_id = await office.held(target.url, path)
    denied = await decide(office.ann, preview_id, "deny", reason="Not this month.")
    assert denied.json()["state"] == "denied"
    state, answer = await ended(office, preview_id)
    assert (state, code(answer)) == ("denied", (403, "approval_denied"))
    assert 'It was ann with the reason "Not this month."' in answer.json()["detail"]
    body = {"decision": "approve", "digest": "sha256:" + "0" * 64}
    digest = (await shown(office, preview_id))["digest"]
    late = await office.bob.post(
        f"/approvals/{preview_id}/decision", json=body | {"digest": digest}
    )
    assert code(late) == (409, "approval_ended")
    assert "denied" in late.json()["detail"]
    assert code(await office.agent.delete(f"/approvals/{preview_id}")) == (409, "approval_ended")
    assert not target.deliveries


@pytest.mark.parametrize(
    ("approved", "who", "state", "subject"),
    [
        (False, "agent", "cancelled", "agent"),
        (False, "bob", "cancelled", "bob"),
        (True, "agent", "withdrawn", "agent"),
        (True, "ann", "withdrawn", "ann"),
        (True, "admin", "withdrawn", "root"),
    ],
)
async def test_given_up(
    office: Office, target: Target, approved: bool, who: str, state: str, subject: str
) -> None:
    """Cancelled while pending, withdrawn once approved: 403 with by whom."""
    preview_id = await (office.approved if approved else office.held)(target.url)
    given_up = await office.other(who).delete(f"/approvals/{preview_id}")
    assert given_up.json()["state"] == state
    now, answer = await ended(office, preview_id)
    assert (now, code(answer)) == (state, (403, "approval_denied"))
    assert f"It was {subject}." in answer.json()["detail"]
    assert not target.deliveries


async def test_pending_to_expired(office: Office, target: Target) -> None:
    """410 at `decide_by`, whether or not anything has swept; a decision is too late."""
    preview_id = await office.held(target.url)
    digest = await digest_of(office.ann, preview_id)
    office.reach_deadline(preview_id)
    state, answer = await ended(office, preview_id)
    assert (state, code(answer)) == ("expired", (410, "approval_expired"))
    assert answer.json()["detail"] == "No decision came in time. Make a new preview."
    for decision in ("approve", "deny"):
        late = await decide(office.ann, preview_id, decision, digest=digest, reason="No.")
        assert (code(late), "expired" in late.json()["detail"]) == ((409, "approval_ended"), True)
    assert not target.deliveries


async def test_approved_and_not_used_in_time(office: Office, target: Target) -> None:
    """410 with a sentence of its own, for a day."""
    preview_id = await office.approved(target.url)
    office.reach_end_of_use(preview_id)
    state, answer = await ended(office, preview_id)
    assert (state, code(answer)) == ("unused", (410, "approval_expired"))
    assert answer.json()["detail"] == (
        "The approval of this preview was not used in time. Make a new preview."
    )
    with office.site.valkey.client() as redis:
        lasts = redis.pttl(names.approval(WORKSPACE, preview_id))
    assert timedelta(hours=24) < timedelta(milliseconds=lasts) <= timedelta(hours=24, minutes=15)
    assert not target.deliveries


async def test_the_shortest_times_of_the_rules_count(office: Office, target: Target) -> None:
    """`within` for the decision, `use_within` for the execute."""
    preview_id = await office.approved(target.url, "/two")
    known = await shown(office, preview_id)
    moments = {name: datetime.fromisoformat(known[name]) for name in ("requested_at", "decide_by")}
    assert moments["decide_by"] - moments["requested_at"] == 30 * MINUTE
    decided = datetime.fromisoformat(known["deciders"][-1]["decided_at"])
    assert datetime.fromisoformat(known["use_by"]) - decided == 15 * MINUTE


async def test_a_rule_that_denies(office: Office, target: Target) -> None:
    denied = await office.other("agent").preview(at(target.url, "/never"))
    assert code(denied) == (403, "policy_denied")
    assert "'never'" in denied.json()["detail"]


async def test_a_replay_comes_first(office: Office, target: Target) -> None:
    """Whatever became of another approval: the key's own run answers a request for a preview that
    is gone, and a key that has a run cannot execute another preview, held or ended.
    """
    first = await office.approved(target.url)
    run = (await office.agent.execute(first, "order-1")).json()
    for end in ("pending", "denied", "expired"):
        preview_id = await office.held(target.url)
        if end == "denied":
            await decide(office.ann, preview_id, "deny", reason="No.")
        elif end == "expired":
            office.reach_deadline(preview_id)
        reused = await office.other("agent").execute(preview_id, "order-1", wait=0)
        assert code(reused) == (422, "idempotency_key_reused"), end
        assert reused.json()["run_id"] == run["run_id"]
    for asked in ("gone", first):
        replay = await office.other("agent").execute(asked, "order-1")
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.json()["run_id"] == run["run_id"]
    assert len(target.deliveries) == 1


async def test_decisions_that_are_refused(office: Office, target: Target) -> None:
    """Unknown, own, not in `from`, other bytes, no reason: each with its code, none recorded."""
    preview_id = await office.held(target.url)
    unknown = await decide(office.ann, "unknown", digest="sha256:" + "0" * 64)
    assert code(unknown) == (404, "preview_not_found")
    digest = await digest_of(office.ann, preview_id)
    assert code(await decide(office.admin, preview_id, digest=digest)) == (403, "forbidden")
    other = await decide(office.ann, preview_id, digest="sha256:" + "0" * 64)
    assert (code(other), digest in other.json()["detail"]) == ((409, "digest_mismatch"), True)
    assert code(await decide(office.ann, preview_id, "deny")) == (400, "invalid_request")
    for reason in ("a\x1b[2J", "a\0", "a" * 501):
        control = await decide(office.ann, preview_id, "deny", reason=reason)
        assert code(control) == (400, "invalid_request")
    known = await shown(office, preview_id)
    assert (known["state"], known["deciders"]) == ("pending", [])
    assert (await decide(office.ann, preview_id, "deny", reason="a" * 500)).status_code == 200
