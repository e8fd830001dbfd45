"""A rule holds a preview until another identity has approved the very bytes."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.admin.keys import KeyRequest
from tests.support.gateways import Relay
from tests.support.keyed import BY, Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"], reason = "deny" }
[[rule]]
name = "never"
when = { paths = ["/forbidden*"] }
deny = true
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    async with keyed_gateway(valkey.url, tmp_path / "data", approval_policy=policy) as opened:
        yield opened


async def client_of(keyed: Keyed, role: str, subject: str | None = None) -> Relay:
    wanted = KeyRequest("test", role, subject=subject)
    new = await (await keyed.services()).keys.create_key("default", wanted, actor=BY)
    await keyed.look()
    return keyed.client(new.secret)


async def digest_of(approver: Relay, preview_id: str) -> str:
    """Computed from what is shown, as an approver does."""
    wire = (await approver.get(f"/approvals/{preview_id}")).json()["wire"]
    return f"sha256:{sha256((wire['head'] + wire['body']).encode()).hexdigest()}"


async def decide(
    approver: Relay, preview_id: str, decision: str = "approve", **given: str
) -> httpx2.Response:
    digest = given.pop("digest", "") or await digest_of(approver, preview_id)
    body: dict[str, Any] = {"decision": decision, "digest": digest, **given}
    return await approver.post(f"/approvals/{preview_id}/decision", json=body)


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


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

    execute = asyncio.create_task(agent.execute(preview_id, "order-1", wait=30))
    assert (await decide(ann, preview_id)).json()["state"] == "approved"
    run = (await execute).json()
    assert (run["status"], run["approval"]["approvers"]) == ("success", ["ann"])
    shown = (await ann.get(f"/approvals/{preview_id}")).json()
    assert (shown["state"], shown["run_id"]) == ("executed", run["run_id"])
    replay = await agent.execute("gone", "order-1")
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 1


async def test_a_denial_is_final(keyed: Keyed, target: Target) -> None:
    """With its reason, which this policy asks for."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url)
    assert code(await decide(ann, preview_id, "deny")) == (400, "invalid_request")
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


async def test_a_decision_about_other_bytes_is_refused(keyed: Keyed, target: Target) -> None:
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url)
    wrong = await decide(ann, preview_id, digest="sha256:" + "0" * 64)
    assert code(wrong) == (409, "digest_mismatch")
    malformed = await decide(ann, preview_id, digest="md5:0")
    assert code(malformed) == (400, "invalid_request")
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
        assert (await stranger.delete(f"/approvals/{preview_id}")).status_code == 403
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
