"""Hold previews, show what waits, and decide: approve, deny, give up.

Who may decide is checked here, by the rules that held the preview. That requester and approver are
two identities is checked here and again in the script, through which every decision passes.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from gateway import problems
from gateway.access.principal import Principal
from gateway.approvals.deciders import decider_of
from gateway.approvals.documents import page
from gateway.approvals.notices import Facts
from gateway.approvals.policies import Asked, Policies, Requester, Verdict
from gateway.approvals.policy import Requirement
from gateway.approvals.remembering import previous, remember
from gateway.effects import Effect
from gateway.problem import FieldError
from gateway.telemetry import metrics
from stores.approvals import Decision, State
from stores.audit_entries import RELAY, ApprovalFacts, Entry
from stores.redis import approvals as rows
from stores.redis.approvals import (
    Approval,
    Decided,
    DigestMismatch,
    Ended,
    Executed,
    Held,
    NoApproval,
    OwnRequest,
    Vote,
    Withdrawn,
)
from stores.redis.outbox import Origin
from stores.redis.remembered import Previous

REASON_MAX = 500
_origin = msgspec.json.Decoder(Origin)


class HeldPreview(NamedTuple):
    preview_id: str
    document: bytes
    origin: bytes
    by: Requester
    effect: Effect
    action: str
    warnings: Sequence[str]


class Inbox:
    """Every method raises RedisUnavailable."""

    def __init__(self, approvals: rows.Approvals, *, public_url: str | None = None) -> None:
        self._approvals = approvals
        self._public_url = public_url

    def page(self, preview_id: str) -> str | None:
        """The page of an approval, where the gateway knows its own address."""
        return page(self._public_url, preview_id)

    async def hold(self, principal: Principal, preview: HeldPreview, verdict: Verdict) -> int:
        """Keep the preview until it is decided. Returns the deadline, epoch milliseconds."""
        asked, policies = verdict
        facts = ApprovalFacts(
            requester=principal.subject,
            needed=asked.approvals,
            needs=asked.needs,
            policies=policies,
            decide_ms=asked.decide_ms,
            use_ms=asked.use_ms,
        )
        entry = _entry(principal, facts, event="approval.requested")
        held = _held(principal, preview, verdict)
        decide_by_ms = await self._approvals.hold(principal.workspace, held, entry)
        metrics.counter(metrics.approvals, preview.action, "requested").inc()
        return decide_by_ms

    async def find(self, principal: Principal, preview_id: str) -> Approval:
        """Raises PreviewNotFound, the same for an unknown id and for another workspace's."""
        if not (found := await self.look_for(principal.workspace, preview_id)):
            raise not_found()
        return found

    async def look_for(self, workspace: str, preview_id: str) -> Approval | None:
        found = await self._approvals.find(workspace, preview_id)
        return None if isinstance(found, NoApproval) else found

    async def pending(
        self, principal: Principal, *, limit: int, before: tuple[int, str] | None
    ) -> AsyncIterator[Approval]:
        """What waits for a decision, the latest deadline first; one at a time, since each holds
        its request. `limit`: how many are probably wanted.
        """
        workspace = principal.workspace
        while page := await self._approvals.pending(workspace, limit=limit, before=before):
            for preview_id, decide_by_ms in page:
                found = await self.look_for(workspace, preview_id)
                if found and found.state == "pending":
                    yield found
                before = (decide_by_ms, preview_id)

    async def outdate(self, workspace: str, preview_id: str, reasons: str) -> None:
        """End an approval that is not enough any more: its preview cannot be executed."""
        entry = Entry(event="approval.ended", principal=RELAY, detail=reasons)
        await self._approvals.withdraw(
            workspace, preview_id, msgspec.json.encode(entry), by=RELAY, outdated=True
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
        decider = decider_of(principal, decision, reason)
        facts = ApprovalFacts(decision=decision, approver=principal.subject, role=principal.role)
        entry = _entry(principal, facts, event="approval.decided", detail=reason)
        vote = Vote(decider, digest, principal.makers, rules, entry)
        match await self._approvals.decide(principal.workspace, preview_id, vote):
            case Decided(state):
                _count(found, state)
                if state == "approved":
                    await remember(self._approvals.remembered, principal.workspace, found)
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

    async def previous(self, workspace: str, found: Approval) -> Previous | None:
        """What was approved last of the same kind."""
        return await previous(self._approvals.remembered, workspace, found)

    async def withdraw(self, principal: Principal, preview_id: str) -> State:
        """Give up what waits or was approved. The requester may, and approvers.

        Raises PreviewNotFound, the same for strangers, PreviewAlreadyExecuted and ApprovalEnded.
        """
        found = await self.find(principal, preview_id)
        own = principal.subject == found.requester
        if not own and "approvals:decide" not in principal.scopes:
            raise not_found()
        if not own:
            _check_kind(principal, asked_of(found))
        entry = _entry(principal, ApprovalFacts(requester=found.requester), event="approval.ended")
        match await self._approvals.withdraw(
            principal.workspace, preview_id, entry, by=principal.subject
        ):
            case Withdrawn(state):
                _count(found, state)
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
        "This subject, or one that made its key, asked for the preview. Another one has to decide."
    )


def ended(state: State) -> problems.ApprovalEnded:
    return problems.ApprovalEnded(f"This approval is {state}; nothing is left to decide.")


def _held(principal: Principal, preview: HeldPreview, verdict: Verdict) -> Held:
    asked, policies = verdict
    kept = Asked(requirement=asked, policies=policies, requester=preview.by)
    return Held(
        preview_id=preview.preview_id,
        doc=preview.document,
        origin=preview.origin,
        by=msgspec.json.encode(preview.by),
        target=preview.effect.slot,
        digest=preview.effect.digest,
        requester=principal.subject,
        requester_key=principal.id,
        requirement=msgspec.json.encode(kept),
        facts=msgspec.json.encode(_facts(preview, asked)),
        remind=timedelta(milliseconds=asked.remind_ms),
        decide_within=timedelta(milliseconds=asked.decide_ms),
        use_within=timedelta(milliseconds=asked.use_ms),
        needs=[need.approvals for need in asked.needs],
    )


def _facts(preview: HeldPreview, asked: Requirement) -> Facts:
    """What notices say of a preview. Its path may be read, but not its query."""
    effect, url = preview.effect, urlsplit(preview.effect.url)
    host = url.hostname or ""
    return Facts(
        action=preview.action,
        summary=f"{effect.method} {host}{url.path or '/'}",
        method=effect.method,
        host=host,
        digest=effect.digest,
        requester=preview.by.subject,
        needed=asked.approvals,
        warnings=preview.warnings,
        escalate=asked.escalate,
    )


def _count(before: Approval, state: State) -> None:
    """Count an ending. A decision that is sent twice finds the approval ended and counts once."""
    if state == "pending" or before.state not in ("pending", "approved") or state == before.state:
        return
    action = _origin.decode(before.origin).action
    waited = timedelta(milliseconds=before.now_ms - before.requested_at_ms)
    rules = [need.rule for need in asked_of(before).requirement.needs]
    metrics.approval_ended(action, state, waited, rules)


def _rules_of(
    found: Approval, principal: Principal, decision: Decision, reason: str
) -> Sequence[int]:
    """The positions of the rules that this decision counts for, from 1."""
    asked = asked_of(found)
    _check_kind(principal, asked)
    counting = [
        (position, need)
        for position, need in enumerate(asked.requirement.needs, start=1)
        if need.counts(subject=principal.subject, key=principal.id, role=principal.role)
    ]
    if not counting:
        raise problems.Forbidden("No rule that holds this preview counts this approver.")
    wanted = {"always", "deny"} if decision == "deny" else {"always"}
    if not reason.strip() and any(need.reason in wanted for _, need in counting):
        raise problems.InvalidRequest("The policy asks for a reason.")
    return [position for position, _ in counting]


def _check_kind(principal: Principal, asked: Asked) -> None:
    """Raises Forbidden."""
    if not principal.live and asked.requester.kind == "live":
        raise problems.Forbidden("A test key decides only on previews of test keys.")


def _checked(reason: str) -> str:
    """Raises InvalidRequest."""
    if len(reason) > REASON_MAX or not all(it.isprintable() or it == "\n" for it in reason):
        raise problems.InvalidRequest(
            f"A reason has at most {REASON_MAX} printable characters.",
            errors=[FieldError("/reason", "It is too long or holds control characters.")],
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
            via=principal.via,
        )
    )
