"""What previews and runs say of an approval."""

from collections.abc import Sequence

from msgspec import Struct

from gateway.approvals.policies import Granted
from gateway.timestamps import Timestamp
from stores.redis.approvals import State


class ApprovalNeeded(Struct, kw_only=True):
    """`needed`: approvals of the rule that asks for most. `approvers`: of each rule, who counts."""

    state: State
    needed: int
    rules: Sequence[str]
    approvers: Sequence[str]
    decide_by: Timestamp


class ApprovedBy(Struct, kw_only=True):
    """`approvers`: their subjects. `policies`: the digests of the policies that asked."""

    approvers: Sequence[str]
    policies: Sequence[str]


def approved_by(grant: Granted) -> ApprovedBy | None:
    if grant.asked is None:
        return None
    subjects = [it.subject for it in grant.deciders if it.decision == "approve"]
    return ApprovedBy(approvers=subjects, policies=grant.asked.policies)
