"""The policies of the operator and of the workspace, asked when a preview is made and once more
when it is executed. The strictest of both holds.

A policy that fails while it decides denies, and the failure is counted: what cannot be judged is
not sent.
"""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.access.principal import Principal
from gateway.approvals.policy import ALLOWED, Policy, Requirement
from gateway.approvals.policy_file import PolicyRefused, PreviewFacts
from gateway.config.variables import SettingsError
from gateway.effects import Effect
from gateway.telemetry import metrics
from stores.approvals import Decider

# Policies of workspaces that are kept ready; reading one takes about a millisecond.
COMPILED_MAX = 256

log = logging.getLogger("relay.approvals")

FAILED = Requirement(denied_by=("policy failed",))


class Requester(Struct, frozen=True, kw_only=True):
    """What a policy may know of the caller that asked for a preview; kept with the preview."""

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


class Layer(NamedTuple):
    """One of both policies. `rules`: those that match."""

    digest: str
    rules: Sequence[str]


class RoleNow(Protocol):
    """The role with which a decision counts now; None where it does not count any more."""

    def __call__(
        self, workspace: str, decider: Decider, /, *, live: bool, now_ms: int
    ) -> str | None: ...


def policy_of(path: Path | None) -> Policy | None:
    """The operator's policy, RELAY_APPROVAL_POLICY. Raises SettingsError."""
    if path is None:
        return None
    try:
        return Policy(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"RELAY_APPROVAL_POLICY: {error}") from error
    except PolicyRefused as refused:
        errors = " ".join(f"{it.pointer}: {it.detail}" for it in refused.errors)
        raise SettingsError(f"RELAY_APPROVAL_POLICY: {refused} {errors}".rstrip()) from refused


class Policies:
    def __init__(
        self,
        floor: Policy | None,
        role_now: RoleNow,
        text_of: Callable[[str], str] = lambda workspace: "",
    ) -> None:
        """`floor`: the operator's policy, for all workspaces. `text_of`: the policy of a
        workspace, or empty.
        """
        self.floor = floor
        self._role_now = role_now
        self._text_of = text_of
        self._compiled = lru_cache(maxsize=COMPILED_MAX)(Policy)

    def any_for(self, workspace: str) -> bool:
        """Whether any policy is asked for this workspace."""
        return self.floor is not None or bool(self._text_of(workspace))

    def verdict(self, workspace: str, action: str, effect: Effect, by: Requester) -> Verdict:
        """What a preview needs: the strictest of both policies. `by`: who asked for it."""
        if not self.any_for(workspace):
            return NOTHING_ASKED
        try:
            given, asked = facts(action, effect, by), ALLOWED
            layers = self._layers(workspace)
            for policy in layers:
                asked &= policy.requirement(given)
            return Verdict(asked, [policy.digest for policy in layers])
        except Exception:
            metrics.policy_errors.inc()
            log.exception("policy.failed", extra={"fields": {"workspace": workspace}})
            return Verdict(FAILED, ())

    def explain(
        self, workspace: str, given: PreviewFacts, *, tried: Policy | None = None
    ) -> tuple[Requirement, Layer | None, Layer | None]:
        """What both policies ask together, and the operator's and the workspace's part of it.
        `tried`: instead of the workspace's.
        """
        own = tried
        if own is None and (text := self._text_of(workspace)):
            own = self._compiled(text)
        asked = ALLOWED
        for policy in filter(None, (self.floor, own)):
            asked &= policy.requirement(given)
        return asked, _layer(self.floor, given), _layer(own, given)

    def unmet(
        self,
        workspace: str,
        action: str,
        effect: Effect,
        by: bytes | None,
        grant: Granted,
        *,
        now_ms: int,
    ) -> list[str]:
        """Why a preview may not be executed now, a sentence for each rule: a policy may be
        stricter than it was, and approvers may have lost their keys or their role. `by`: a
        Requester, JSON.
        """
        if grant.asked is None and self.floor is None and not self._text_of(workspace):
            return []
        requester = _requester.decode(by or b"{}")
        asked = self.verdict(workspace, action, effect, requester).requirement
        if grant.asked and not asked.denied_by:
            asked &= grant.asked.requirement
        live = requester.kind == "live"
        roles = [self._role_now(workspace, it, live=live, now_ms=now_ms) for it in grant.deciders]
        counting = [
            replace(it, role=role)
            for it, role in zip(grant.deciders, roles, strict=True)
            if role is not None
        ]
        return _missing(asked, counting)

    def _layers(self, workspace: str) -> list[Policy]:
        layers = [self.floor] if self.floor else []
        if text := self._text_of(workspace):
            layers.append(self._compiled(text))
        return layers


def _layer(policy: Policy | None, given: PreviewFacts) -> Layer | None:
    if policy is None:
        return None
    return Layer(policy.digest, [policy.rules[number] for number in policy.matching(given)])


def requester(principal: Principal, *, warned: bool) -> Requester:
    return Requester(
        subject=principal.subject,
        role=principal.role,
        kind="live" if principal.live else "test",
        warned=warned,
    )


def facts(action: str, effect: Effect, by: Requester) -> PreviewFacts:
    return PreviewFacts(
        action=action,
        method=effect.method,
        url=effect.url,
        role=by.role,
        requester=by.subject,
        kind=by.kind,
        body_bytes=len(effect.body or b""),
        warned=by.warned,
        connection=effect.credential.connection if effect.credential else "",
        label=effect.credential.label if effect.credential else "",
        account=effect.credential.account if effect.credential else "",
    )


def _missing(asked: Requirement, deciders: Sequence[Decider]) -> list[str]:
    if asked is FAILED:
        return ["The policy cannot be judged; the gateway's log says why (policy.failed)."]
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
