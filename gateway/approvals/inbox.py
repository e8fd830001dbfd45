"""Hold previews, show what waits, and decide: approve, deny, give up.

Who may decide is checked here, by the rules that held the preview. That requester and approver are
two identities is checked here and once more in the script, which every way leads through.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from gateway import problems
from gateway.access.principal import Principal
from gateway.approvals.policies import Asked, Policies, Requester, Verdict
from gateway.effects import Effect
from stores.audit_entries import RELAY, ApprovalFacts, Entry
from stores.redis import approvals as rows
from stores.redis.approvals import (
    Approval,
    Decided,
    Decider,
    Decision,
    DigestMismatch,
    Ended,
    Executed,
    Held,
    NoApproval,
    OwnRequest,
    State,
    Vote,
    Withdrawn,
)

REASON_MAX = 500


class HeldPreview(NamedTuple):
    preview_id: str
    document: bytes
    origin: bytes
    by: Requester
    effect: Effect


class Inbox:
    """Every method raises RedisUnavailable."""

    def __init__(self, approvals: rows.Approvals) -> None:
        self._approvals = approvals

    async def hold(self, principal: Principal, preview: HeldPreview, verdict: Verdict) -> int:
        """Keep the preview until it is decided. Returns the deadline, epoch milliseconds."""
        asked, policies = verdict
        kept = Asked(requirement=asked, policies=policies, requester=preview.by)
        held = Held(
            preview_id=preview.preview_id,
            doc=preview.document,
            origin=preview.origin,
            by=msgspec.json.encode(preview.by),
            target=preview.effect.target,
            digest=preview.effect.digest,
            requester=principal.subject,
            requester_key=principal.id,
            requirement=msgspec.json.encode(kept),
            decide_within=timedelta(milliseconds=asked.decide_ms),
            use_within=timedelta(milliseconds=asked.use_ms),
            needs=[need.approvals for need in asked.needs],
        )
        facts = ApprovalFacts(
            requester=principal.subject,
            needed=asked.approvals,
            rules=[need.rule for need in asked.needs],
            policies=policies,
            decide_ms=asked.decide_ms,
        )
        entry = _entry(principal, facts, event="approval.requested")
        return await self._approvals.hold(principal.workspace, held, entry)

    async def find(self, principal: Principal, preview_id: str) -> Approval:
        """Raises PreviewNotFound, the same for an unknown id and for another workspace's."""
        found = await self._approvals.find(principal.workspace, preview_id)
        if isinstance(found, NoApproval):
            raise not_found()
        return found

    async def pending(
        self, principal: Principal, *, limit: int, before: tuple[int, str] | None
    ) -> list[Approval]:
        """A page of what waits for a decision, the latest deadline first."""
        page = await self._approvals.pending(principal.workspace, limit=limit, before=before)
        found = [await self._approvals.find(principal.workspace, held) for held, _ in page]
        return [it for it in found if isinstance(it, Approval)]

    async def state(self, workspace: str, preview_id: str) -> State | None:
        """The state now; None if there is no such approval."""
        found = await self._approvals.find(workspace, preview_id)
        return None if isinstance(found, NoApproval) else found.state

    async def outdate(self, workspace: str, preview_id: str, reasons: str) -> None:
        """End an approval that is not enough any more: its preview cannot be executed."""
        entry = Entry(event="approval.ended", principal=RELAY, detail=reasons)
        await self._approvals.withdraw(
            workspace, preview_id, msgspec.json.encode(entry), outdated=True
        )

    async def decide(
        self, principal: Principal, preview_id: str, decision: Decision, *, digest: str, reason: str
    ) -> State:
        """The state after the decision.

        Raises PreviewNotFound, OwnRequest, Forbidden, InvalidRequest for a reason that is missing
        or not printable, DigestMismatch and ApprovalEnded.
        """
        found = await self.find(principal, preview_id)
        rules = _rules_of(found, principal, decision, _checked(reason))
        decider = Decider(
            decision=decision,
            subject=principal.subject,
            key=principal.id,
            role=principal.role,
            reason=reason,
        )
        facts = ApprovalFacts(decision=decision, approver=principal.subject, role=principal.role)
        entry = _entry(principal, facts, event="approval.decided", detail=reason)
        vote = Vote(decider, digest, principal.makers, rules, entry)
        match await self._approvals.decide(principal.workspace, preview_id, vote):
            case Decided(state):
                return state
            case Ended(state):
                raise ended(state)
            case OwnRequest():
                raise own_request()
            case DigestMismatch(of):
                raise problems.DigestMismatch(
                    f"The request to approve has the digest {of}. Look at it again."
                )
            case NoApproval():
                raise not_found()

    async def withdraw(self, principal: Principal, preview_id: str) -> State:
        """Give up what waits or was approved. The requester may, and approvers.

        Raises PreviewNotFound, Forbidden, PreviewAlreadyExecuted and ApprovalEnded.
        """
        found = await self.find(principal, preview_id)
        own = principal.subject == found.requester
        if not own and "approvals:decide" not in principal.scopes:
            raise problems.Forbidden("Only the requester and approvers may give this up.")
        entry = _entry(principal, ApprovalFacts(requester=found.requester), event="approval.ended")
        match await self._approvals.withdraw(principal.workspace, preview_id, entry):
            case Withdrawn(state):
                return state
            case Ended(state):
                raise ended(state)
            case Executed(run_id):
                raise problems.PreviewAlreadyExecuted(
                    "This preview has been executed.", run_id=run_id
                )
            case NoApproval():
                raise not_found()


class Approvals(NamedTuple):
    policies: Policies
    inbox: Inbox


def asked_of(approval: Approval) -> Asked:
    return msgspec.json.decode(approval.requirement, type=Asked)


def not_found() -> problems.PreviewNotFound:
    return problems.PreviewNotFound("No approval has this preview_id, or it ended over a day ago.")


def own_request() -> problems.OwnRequest:
    return problems.OwnRequest(
        "This subject, or a key that it made, asked for the preview. Another one has to decide."
    )


def ended(state: State) -> problems.ApprovalEnded:
    return problems.ApprovalEnded(f"This approval is {state}; nothing is left to decide.")


def _rules_of(
    found: Approval, principal: Principal, decision: Decision, reason: str
) -> Sequence[int]:
    """The positions of the rules that this decision counts for, from 1."""
    asked = asked_of(found)
    if not principal.live and asked.requester.kind == "live":
        raise problems.Forbidden("A test key decides only on previews of test keys.")
    counting = [
        (position, need)
        for position, need in enumerate(asked.requirement.needs, start=1)
        if need.counts(subject=principal.subject, key=principal.id, role=principal.role)
    ]
    if not counting:
        raise problems.Forbidden("No rule that holds this preview counts this approver.")
    wanted = {"always", "deny"} if decision == "deny" else {"always"}
    if not reason and any(need.reason in wanted for _, need in counting):
        raise problems.InvalidRequest("The policy asks for a reason.")
    return [position for position, _ in counting]


def _checked(reason: str) -> str:
    """Raises InvalidRequest."""
    if len(reason) > REASON_MAX or not all(it.isprintable() or it == "\n" for it in reason):
        raise problems.InvalidRequest(
            f"A reason has at most {REASON_MAX} printable characters.",
            errors=[problems.FieldError("/reason", "It is too long or holds control characters.")],
        )
    return reason


def _entry(principal: Principal, facts: ApprovalFacts, *, event: str, detail: str = "") -> bytes:
    """The script adds the preview, its action and digest, and the state that follows."""
    return msgspec.json.encode(
        Entry(
            event=event,
            principal=principal.id,
            address=principal.address,
            request_id=principal.request_id,
            approval=facts,
            detail=detail,
        )
    )
