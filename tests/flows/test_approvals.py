"""A rule holds a preview until another identity has approved the very bytes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stores.redis.client import Store
from tests.support.deciding import client_of, code, decide, digest_of
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"], reason = "deny" }
[[rule]]
name = "soon"
when = { paths = ["/soon"] }
need = { approvals = 1, within = "1s" }
[[rule]]
name = "never"
when = { paths = ["/forbidden*"] }
deny = true
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as opened:
        yield opened


async def test_an_execute_waits_for_the_approval(keyed: Keyed, target: Target) -> None:
    """Before it 409, after it the run, with who approved; the preview says so from the start."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview = (await agent.preview(target.url)).json()
    preview_id = preview["preview_id"]
    assert preview["approval"]["needed"] == 1
    assert preview["approval"]["rules"] == ["posts"]
    early = await agent.execute(preview_id, "order-1", wait=0)
    assert code(early) == (409, "approval_pending")
    assert early.headers["Location"] == f"/approvals/{preview_id}"
    (waiting,) = (await ann.get("/approvals")).json()["approvals"]
    assert (waiting["preview_id"], waiting["state"]) == (preview_id, "pending")
    assert (waiting["method"], waiting["url"]) == ("POST", target.url)
    assert waiting["warnings"] == preview["warnings"]
    looked_at = (await ann.get(f"/approvals/{preview_id}")).json()
    assert looked_at["added_when_sent"] == preview["effect"]["added_when_sent"]

    execute = asyncio.create_task(agent.execute(preview_id, "order-1", wait=30))
    assert (await decide(ann, preview_id)).json()["state"] == "approved"
    run = (await execute).json()
    assert (run["status"], run["approval"]["approvers"]) == ("success", ["ann"])
    shown = (await ann.get(f"/approvals/{preview_id}")).json()
    assert (shown["state"], shown["run_id"]) == ("executed", run["run_id"])
    replay = await agent.execute("gone", "order-1")
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 1


async def test_a_wait_ends_with_the_deadline_of_the_decision(keyed: Keyed, target: Target) -> None:
    """Nothing is decided after it, so there is nothing to wait for."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url.replace("/hook", "/soon"))
    async with asyncio.timeout(15):
        execute = asyncio.create_task(agent.execute(preview_id, "order-1", wait=30))
        shown = await ann.get(f"/approvals/{preview_id}", headers={"Prefer": "wait=30"})
        assert shown.json()["state"] == "expired"
        assert code(await execute) == (410, "approval_expired")


async def test_a_denial_is_final(keyed: Keyed, target: Target) -> None:
    """With its reason, which this policy asks for."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url)
    for none in ("", " \n "):
        assert code(await decide(ann, preview_id, "deny", reason=none)) == (400, "invalid_request")
    denied = await decide(ann, preview_id, "deny", reason="Not this month.")
    assert denied.json()["state"] == "denied"
    assert code(await agent.execute(preview_id, "order-1")) == (403, "approval_denied")
    other = await decide(ann, preview_id, "approve", digest="sha256:" + "0" * 64)
    assert other.status_code == 409
    assert not target.deliveries


async def test_requester_and_approver_are_two_identities(keyed: Keyed, target: Target) -> None:
    """By subject, for every key that the requester made, and for admins too."""
    admin = keyed.relay
    preview_id = await admin.preview_id(target.url)
    minted = await admin.post("/keys", json={"name": "mine", "role": "approver", "subject": "bob"})
    own = keyed.client(minted.json()["secret"])
    digest = await digest_of(own, preview_id)
    assert code(await decide(own, preview_id, digest=digest)) == (403, "own_request")
    same = await client_of(keyed, "operator", "cid")
    second = await client_of(keyed, "approver", "cid")
    theirs = await same.preview_id(target.url)
    assert code(await decide(second, theirs)) == (403, "own_request")
    assert code(await decide(admin, preview_id, digest=digest)) == (403, "forbidden")


async def test_a_stranger_does_not_learn_by_waiting(keyed: Keyed, target: Target) -> None:
    """What another subject asked for answers as quickly as what does not exist."""
    agent, other = await client_of(keyed, "operator"), await client_of(keyed, "operator")
    preview_id = await agent.preview_id(target.url)
    async with asyncio.timeout(15):
        for path in (preview_id, "unknown"):
            answer = await other.get(f"/approvals/{path}", headers={"Prefer": "wait=30"})
            assert code(answer) == (404, "preview_not_found")


async def test_a_decision_about_other_bytes_is_refused(keyed: Keyed, target: Target) -> None:
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url)
    wrong = await decide(ann, preview_id, digest="sha256:" + "0" * 64)
    assert code(wrong) == (409, "digest_mismatch")
    for malformed in ("md5:0", "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\n"):
        refused = await decide(ann, preview_id, digest=malformed)
        assert code(refused) == (400, "invalid_request")
    assert code(await decide(ann, "unknown", digest="sha256:" + "0" * 64)) == (
        404,
        "preview_not_found",
    )


async def test_a_revoked_approver_does_not_count(keyed: Keyed, target: Target) -> None:
    """The approval is outdated, nothing is sent, and a new preview is needed."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url)
    await decide(ann, preview_id)
    listed = (await keyed.relay.get("/keys")).json()["keys"]
    (key,) = [key for key in listed if key["subject"] == "ann"]
    await keyed.relay.delete(f"/keys/{key['id']}")
    for _ in range(2):
        outdated = await agent.execute(preview_id, "order-1")
        assert code(outdated) == (409, "approval_outdated")
    assert not target.deliveries


async def test_the_requester_gives_up(keyed: Keyed, target: Target) -> None:
    """Before and after the approval; not after the run. Others see nothing of it."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    stranger = await client_of(keyed, "operator")
    states = []
    for approved in (False, True):
        preview_id = await agent.preview_id(target.url)
        if approved:
            await decide(ann, preview_id)
        assert (await stranger.get(f"/approvals/{preview_id}")).status_code == 404
        assert (await stranger.delete(f"/approvals/{preview_id}")).status_code == 404
        states.append((await agent.delete(f"/approvals/{preview_id}")).json()["state"])
        assert code(await agent.execute(preview_id, preview_id)) == (403, "approval_denied")
    assert states == ["cancelled", "withdrawn"]
    assert not target.deliveries


async def test_a_rule_can_deny(keyed: Keyed, target: Target) -> None:
    """At the preview already, with the rule's name; what no rule matches is allowed."""
    agent = await client_of(keyed, "operator")
    denied = await agent.preview(target.url.replace("/hook", "/forbidden/x"))
    assert code(denied) == (403, "policy_denied")
    assert "'never'" in denied.json()["detail"]
    free = {"action": "webhook.save", "params": {"url": target.url, "method": "PUT", "body": 1}}
    allowed = (await agent.post("/actions/preview", json=free)).json()
    assert allowed["approval"] is None
    assert (await agent.execute(allowed["preview_id"], "order-1")).json()["approval"] is None


async def test_the_history_outlives_redis(keyed: Keyed, store: Store, target: Target) -> None:
    """Who decided, when and why; the bytes are gone. A stranger sees nothing of it."""
    agent = await client_of(keyed, "operator", "robot")
    ann = await client_of(keyed, "approver", "ann")
    stranger = await client_of(keyed, "operator", "eve")
    denied, run = await agent.preview_id(target.url), await agent.preview_id(target.url)
    await decide(ann, denied, "deny", reason="Not this month.")
    await decide(ann, run)
    await agent.execute(run, "order-1")
    await shipped(store, keyed.state)
    before = (await ann.get(f"/approvals/{denied}")).json()
    await store.client.flushall()

    shown = (await ann.get(f"/approvals/{denied}")).json()
    assert (shown["state"], shown["wire"], shown["requester"]) == ("denied", None, "robot")
    assert shown["deciders"] == before["deciders"]
    assert shown["deciders"][0]["reason"] == "Not this month."
    listed = (await agent.get("/approvals", params={"state": "executed"})).json()["approvals"]
    assert [it["preview_id"] for it in listed] == [run]
    assert listed[0]["rules"][0]["left"] == 0
    await agent.preview_id(target.url)
    await shipped(store, keyed.state)
    ended = (await ann.get("/approvals", params={"state": "ended"})).json()["approvals"]
    assert {it["preview_id"] for it in ended} == {denied, run}
    assert (await stranger.get(f"/approvals/{denied}")).status_code == 404
    assert (await stranger.get("/approvals", params={"state": "denied"})).json()["approvals"] == []


async def test_an_approver_sees_what_was_approved_last(
    valkey: Valkey, tmp_path: Path, target: Target
) -> None:
    """Where the rule has `remember`; of the same requester and place, and nothing denied."""
    policy = POLICY.replace('name = "posts"', 'name = "posts"\nremember = "7d"')
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=policy) as keyed:
        agent = await client_of(keyed, "operator", "robot")
        other = await client_of(keyed, "operator", "eve")
        ann = await client_of(keyed, "approver", "ann")

        async def shown(relay: Relay, body: int, query: str = "") -> Any:
            preview = (await relay.preview(f"{target.url}{query}", body)).json()
            return (await ann.get(f"/approvals/{preview['preview_id']}")).json()

        first = await shown(agent, 1)
        assert first["previous"] is None
        await decide(ann, first["preview_id"])
        again, changed = await shown(agent, 1), await shown(agent, 2, "?page=2")
        assert again["previous"]["preview_id"] == first["preview_id"]
        assert (again["previous"]["same_bytes"], changed["previous"]["same_bytes"]) == (True, False)
        assert changed["previous"]["wire"] == first["wire"]
        await decide(ann, changed["preview_id"], "deny", reason="No.")
        assert (await shown(agent, 1))["previous"]["preview_id"] == first["preview_id"]
        assert (await shown(other, 1))["previous"] is None
