"""The operator's policy, asked when a preview is made and once more when it is executed.

A policy that fails while it decides denies, and the failure is counted: what cannot be judged is
not sent.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from gateway.access.principal import Principal
from gateway.approvals.policy import ALLOWED, Policy, Requirement
from gateway.approvals.policy_file import PreviewFacts
from gateway.effects import Effect
from gateway.telemetry import metrics
from stores.redis.approvals import Decider

log = logging.getLogger("relay.approvals")

FAILED = Requirement(denied_by=("policy failed",))


class Requester(Struct, frozen=True, kw_only=True):
    """Who asked for a preview, as a policy may know it; kept with the preview."""

    subject: str
    role: str
    kind: Literal["live", "test"]
    warned: bool = False


class Asked(Struct, frozen=True, kw_only=True):
    """What is kept of the policy's verdict with a preview that is held."""

    requirement: Requirement
    policies: Sequence[str]
    requester: Requester


class Granted(Struct, frozen=True, kw_only=True):
    """What is kept with a preview that was approved."""

    deciders: Sequence[Decider] = ()
    asked: Asked | None = None


class Verdict(NamedTuple):
    """`policies`: the digests of those that were asked."""

    requirement: Requirement
    policies: Sequence[str]


_requester = msgspec.json.Decoder(Requester)
_granted = msgspec.json.Decoder(Granted)
granted = _granted.decode
NOTHING_ASKED = Verdict(ALLOWED, ())


class Policies:
    def __init__(
        self,
        policy: Policy | None,
        may_decide: Callable[[str, str], bool],
    ) -> None:
        """`may_decide`: whether a subject of a workspace still has a key that may decide."""
        self._policy = policy
        self._may_decide = may_decide

    def verdict(self, workspace: str, action: str, effect: Effect, by: Requester) -> Verdict:
        """What a preview needs. `by`: who asked for it."""
        try:
            if self._policy is None:
                return NOTHING_ASKED
            asked = self._policy.requirement(_facts(action, effect, by))
            return Verdict(asked, [self._policy.digest])
        except Exception:
            metrics.policy_errors.inc()
            log.exception("policy.failed", extra={"fields": {"workspace": workspace}})
            return Verdict(FAILED, ())

    def unmet(
        self, workspace: str, action: str, effect: Effect, by: bytes | None, grant: Granted
    ) -> list[str]:
        """Why a preview may not be executed now, a sentence for each rule: the policy may be
        stricter than it was, and approvers may have lost their keys. `by`: a Requester, JSON.
        """
        if grant.asked is None and self._policy is None:
            return []
        requester = _requester.decode(by or b"{}")
        asked = self.verdict(workspace, action, effect, requester).requirement
        if grant.asked and not asked.denied_by:
            asked &= grant.asked.requirement
        return _missing(
            asked, [it for it in grant.deciders if self._may_decide(workspace, it.subject)]
        )


def requester(principal: Principal, *, warned: bool) -> Requester:
    return Requester(
        subject=principal.subject,
        role=principal.role,
        kind="live" if principal.live else "test",
        warned=warned,
    )


def _facts(action: str, effect: Effect, by: Requester) -> PreviewFacts:
    return PreviewFacts(
        action=action,
        method=effect.method,
        url=effect.url,
        role=by.role,
        requester=by.subject,
        kind=by.kind,
        body_bytes=len(effect.body or b""),
        warned=by.warned,
    )


def _missing(asked: Requirement, deciders: Sequence[Decider]) -> list[str]:
    reasons = [f"The rule {rule!r} denies it." for rule in asked.denied_by]
    for need in asked.needs:
        count = sum(
            need.counts(subject=it.subject, key=it.key, role=it.role)
            for it in deciders
            if it.decision == "approve"
        )
        if count < need.approvals:
            reasons.append(
                f"The rule {need.rule!r} needs {need.approvals} approvals, and {count} count."
            )
    return reasons
