"""What a list shows of an approval, from Redis while it is kept there, then from the database."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gateway.approvals.inbox import asked_of
from gateway.approvals.receipts import DecisionBody, decision_body
from gateway.execution.documents import Origin
from gateway.timestamps import Timestamp, optional_timestamp, timestamp
from stores.approvals import Decider, RuleNeed, State
from stores.redis.approvals import Approval
from stores.sql.approvals import ApprovalRow


class RuleState(Struct, kw_only=True):
    """`approvers`: who counts; empty: every key that may decide. `left`: how many are missing."""

    rule: str
    approvals: int
    approvers: Sequence[str]
    reason: str
    left: int


class ListedApproval(Struct, kw_only=True):
    """`requester`: a subject; `requester_key`: the id of its API key. `use_by`: once approved,
    until when it may be executed. `connection` and `account`: as whom it is sent, which the digest
    does not cover; null without a connection. They, `requester_role`, `summary`, `method` and `url`
    are null once they are no longer kept.
    """

    preview_id: str
    state: State
    action: str
    provider: str
    summary: str | None
    method: str | None = None
    url: str | None = None
    connection: str | None = None
    account: str | None = None
    warnings: Sequence[str] = ()
    digest: str
    requester: str
    requester_key: str
    requester_role: str | None = None
    rules: Sequence[RuleState]
    deciders: Sequence[DecisionBody]
    requested_at: Timestamp
    decide_by: Timestamp
    use_by: Timestamp | None
    run_id: str | None


class _Kept(Origin):
    connection: str | None = None
    account: str | None = None


class ShownEffect(Struct):
    method: str
    url: str
    added_when_sent: Sequence[str] = ()


class Shown(Struct):
    """What is shown of a stored preview document, beside its exact bytes."""

    summary: str
    warnings: Sequence[str]
    effect: ShownEffect


_kept = msgspec.json.Decoder(_Kept)
shown = msgspec.json.Decoder(Shown).decode


def live(found: Approval) -> ListedApproval:
    """An approval that Redis keeps."""
    known = _kept.decode(found.origin)
    asked = asked_of(found)
    needs = asked.requirement.needs
    kept = shown(found.doc) if found.doc else None
    return ListedApproval(
        preview_id=found.preview_id,
        state="executed" if found.run_id else found.state,
        action=known.action,
        provider=known.provider,
        summary=kept.summary if kept else None,
        method=kept.effect.method if kept else None,
        url=kept.effect.url if kept else None,
        connection=known.connection or None,
        account=known.account or None,
        warnings=kept.warnings if kept else (),
        digest=found.digest,
        requester=found.requester,
        requester_key=found.requester_key,
        requester_role=asked.requester.role,
        rules=[_rule(need, left) for need, left in zip(needs, found.left, strict=True)],
        deciders=[decision_body(it) for it in found.deciders],
        requested_at=timestamp(found.requested_at_ms),
        decide_by=timestamp(found.decide_by_ms),
        use_by=timestamp(found.use_by_ms) if found.use_by_ms else None,
        run_id=found.run_id or None,
    )


def recorded(row: ApprovalRow, now_ms: int) -> ListedApproval:
    """An approval of the history."""
    deciders = row.all_deciders
    return ListedApproval(
        preview_id=row.preview_id,
        state=row.state_at(now_ms),
        action=row.action,
        provider=row.provider,
        summary=None,
        digest=row.digest,
        requester=row.requester,
        requester_key=row.requester_key,
        rules=[_rule(need, _left(need, deciders)) for need in row.all_needs],
        deciders=[decision_body(it) for it in deciders],
        requested_at=timestamp(row.requested_at),
        decide_by=timestamp(row.decide_by),
        use_by=optional_timestamp(row.use_by),
        run_id=row.run_id,
    )


def _left(need: RuleNeed, deciders: Sequence[Decider]) -> int:
    given = sum(
        it.decision == "approve" and need.counts(subject=it.subject, key=it.key, role=it.role)
        for it in deciders
    )
    return max(0, need.approvals - given)


def _rule(need: RuleNeed, left: int) -> RuleState:
    return RuleState(
        rule=need.rule,
        approvals=need.approvals,
        approvers=need.approvers,
        reason=need.reason,
        left=left,
    )
