"""Approvals through the client: an agent that waits, and an approver that sees the bytes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from relay_client.documents import Wire
from relay_client.problems import ApprovalDenied, ApprovalPending, DigestMismatch, OwnRequest
from tests.support.clients import Client, Kind, opened
from tests.support.deciding import key_of
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver", "role:admin"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as opened:
        yield opened


@pytest.fixture
async def agent(keyed: Keyed, kind: Kind) -> AsyncIterator[Client]:
    async with opened(kind, keyed.url, await key_of(keyed, "operator", "agent")) as client:
        yield client


@pytest.fixture
async def ann(keyed: Keyed, kind: Kind) -> AsyncIterator[Client]:
    async with opened(kind, keyed.url, await key_of(keyed, "approver", "ann")) as client:
        yield client


async def test_an_execution_goes_on_when_it_is_approved(
    agent: Client, ann: Client, target: Target
) -> None:
    """The approver decides on the bytes that the client showed, by a digest computed from them."""
    preview = await agent.preview("webhook.save", url=target.url, body={"refund": 12})
    assert preview.approval
    assert (preview.approval.state, preview.approval.needed) == ("pending", 1)
    with pytest.raises(ApprovalPending) as pending:
        await agent.execute(preview, wait=0)
    assert pending.value.approval
    assert pending.value.approval.approvers == ["role:admin", "role:approver"]

    executing = asyncio.create_task(agent.execute(preview, wait=60))
    [listed] = [waiting async for waiting in ann.approvals()]
    shown = await ann.approval(listed.preview_id)
    assert shown.wire
    assert shown.wire.body == '{"refund":12}'
    assert await ann.decide(shown, "approve", reason="It is right.") == "approved"
    run = await executing
    assert run.approval
    assert (run.status, run.approval.approvers) == ("success", ["ann"])
    assert len(target.deliveries) == 1


async def test_a_denial_says_why(agent: Client, ann: Client, target: Target) -> None:
    preview = await agent.preview("webhook.save", url=target.url)
    waiting = asyncio.create_task(agent.approval(preview.preview_id, wait=30))
    shown = await ann.approval(preview.preview_id)
    assert await ann.decide(shown, "deny", reason="Not this month.") == "denied"
    assert (await waiting).state == "denied"
    with pytest.raises(ApprovalDenied, match="Not this month"):
        await agent.execute(preview)
    ended = await ann.approval(preview.preview_id)
    assert [decision.reason for decision in ended.deciders] == ["Not this month."]


async def test_a_decision_about_other_bytes_is_refused(
    agent: Client, ann: Client, target: Target
) -> None:
    preview = await agent.preview("webhook.save", url=target.url)
    shown = await ann.approval(preview.preview_id)
    assert shown.wire
    other = msgspec.structs.replace(shown, wire=Wire(head=shown.wire.head, body="another"))
    with pytest.raises(DigestMismatch):
        await ann.decide(other, "approve")
    with pytest.raises(ValueError, match="has ended"):
        await ann.decide(msgspec.structs.replace(shown, wire=None), "approve")


async def test_an_approver_cannot_decide_on_its_own_request(
    keyed: Keyed, kind: Kind, target: Target
) -> None:
    async with opened(kind, keyed.url, keyed.admin) as admin:
        preview = await admin.preview("webhook.save", url=target.url)
        shown = await admin.approval(preview.preview_id)
        with pytest.raises(OwnRequest):
            await admin.decide(shown, "approve")
    assert target.deliveries == []
