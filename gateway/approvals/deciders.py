"""Whether who has decided may still decide: asked again when a preview is executed.

A key has to be valid still. A person that an identity-aware proxy signed in has to have a role that
may decide, by the groups recorded with the decision and the table of now, and the decision has an
end of its own: nothing says that a person has left.
"""

from gateway.access.assertions import Trust
from gateway.access.key_cache import KeyCache
from gateway.access.principal import Principal
from gateway.access.roles import ROLES
from stores.approvals import Decider, Decision


def decider_of(principal: Principal, decision: Decision, reason: str) -> Decider:
    """What is kept of a decision and of who makes it."""
    assertion = principal.assertion
    return Decider(
        decision=decision,
        subject=principal.subject,
        key=principal.id,
        role=principal.role,
        reason=reason,
        groups=assertion.groups if assertion else (),
        until=assertion.until_ms if assertion else 0,
    )


class Deciders:
    def __init__(self, key_cache: KeyCache, trust: Trust | None) -> None:
        """`trust`: in the proxy that signs people in, where there is one."""
        self._key_cache = key_cache
        self._trust = trust

    def role_now(self, workspace: str, decider: Decider, *, live: bool, now_ms: int) -> str | None:
        """The role with which a decision counts now; None where it does not count any more.
        `live`: whether a live key asked for the preview.
        """
        if decider.until:
            return self._of_person(workspace, decider, now_ms)
        valid = self._key_cache.may_decide(workspace, decider.key, live=live)
        return decider.role if valid else None

    def _of_person(self, workspace: str, decider: Decider, now_ms: int) -> str | None:
        trust = self._trust
        if trust is None or workspace != trust.workspace or now_ms >= decider.until:
            return None
        if not decider.subject.startswith(trust.subject("")):
            return None  # another issuer was trusted then
        role = trust.role_of(decider.groups)
        return role if role and "approvals:decide" in ROLES[role] else None
