"""Hold previews and decide on them, in the workspace `w`."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from gateway.approvals import inbox
from gateway.approvals.notices import Facts
from gateway.approvals.policies import Policies
from gateway.approvals.policy import Policy
from stores.approvals import Decider, Decision
from stores.redis.approvals import Approval, Approvals, Held, Vote
from stores.redis.scripts import Scripts

FACTS = Facts(
    action="webhook.save",
    summary="POST bank.example/",
    method="POST",
    host="bank.example",
    digest="sha256:d",
    requester="agent",
    needed=1,
)
HOUR = timedelta(hours=1)
ORIGIN = b'{"action":"webhook.save","provider":"independent","digest":"sha256:d"}'


def unasked(scripts: Scripts, policy: str = "") -> inbox.Approvals:
    """The approvals of a gateway whose policy asks for none."""
    floor = Policy(policy) if policy else None
    policies = Policies(floor, lambda workspace, decider, **_: decider.role)
    return inbox.Approvals(policies, inbox.Inbox(Approvals(scripts)))


async def hold(
    approvals: Approvals,
    *needs: int,
    preview_id: str = "p-1",
    within: timedelta = HOUR,
    use_within: timedelta = HOUR,
    remind: timedelta = timedelta(),
    escalate: Sequence[str] = (),
) -> int:
    held = Held(
        preview_id=preview_id,
        doc=b'{"preview_id":"p-1"}',
        origin=ORIGIN,
        by=b"{}",
        target="bank.example:443",
        digest="sha256:d",
        requester="agent",
        requester_key="k-agent",
        requirement=b'{"needs":[]}',
        needs=needs or (1,),
        facts=msgspec.json.encode(replace(FACTS, escalate=escalate)),
        remind=remind,
        decide_within=within,
        use_within=use_within,
    )
    return await approvals.hold("w", held, b'{"event":"approval.requested","principal":"k-agent"}')


async def decide(
    approvals: Approvals,
    subject: str,
    decision: Decision = "approve",
    *,
    rules: Sequence[int] = (1,),
    key: str = "",
    makers: Sequence[str] = (),
    digest: str = "sha256:d",
    preview_id: str = "p-1",
) -> object:
    decider = Decider(
        decision=decision, subject=subject, key=key or f"k-{subject}", role="approver"
    )
    entry = b'{"event":"approval.decided","principal":"k"}'
    return await approvals.decide("w", preview_id, Vote(decider, digest, makers, rules, entry))


async def found(approvals: Approvals, preview_id: str = "p-1") -> Approval:
    approval = await approvals.find("w", preview_id)
    assert isinstance(approval, Approval)
    return approval


async def withdraw(approvals: Approvals, preview_id: str = "p-1", **how: bool) -> object:
    entry = b'{"event":"approval.ended"}'
    return await approvals.withdraw("w", preview_id, entry, by="agent", **how)
