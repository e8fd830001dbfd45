"""What previews and runs say of an approval."""

from collections.abc import Sequence

from msgspec import Struct

from gateway.approvals.policies import Granted
from gateway.approvals.policy import Requirement
from gateway.http.responses import ApprovalNeeded
from gateway.timestamps import timestamp
from stores.approvals import State


def page(public_url: str | None, preview_id: str) -> str | None:
    """The page of an approval, where the gateway knows its own address. It is no verb."""
    return public_url and f"{public_url}/studio/approvals/{preview_id}"


class ApprovedBy(Struct, kw_only=True):
    """`approvers`: their subjects. `policies`: the digests of the policies that asked."""

    approvers: Sequence[str]
    policies: Sequence[str]


def approved_by(grant: Granted) -> ApprovedBy | None:
    if grant.asked is None:
        return None
    subjects = [it.subject for it in grant.deciders if it.decision == "approve"]
    return ApprovedBy(approvers=subjects, policies=grant.asked.policies)


def approval_needed(
    asked: Requirement, state: State, decide_by_ms: int, *, url: str | None
) -> ApprovalNeeded:
    """`url`: of the page of the approval."""
    return ApprovalNeeded(
        state=state,
        needed=asked.approvals,
        rules=[need.rule for need in asked.needs],
        approvers=sorted({name for need in asked.needs for name in need.approvers}),
        decide_by=timestamp(decide_by_ms),
        url=url,
    )
