"""What Redis, the audit and the database say of an approval."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Decision = Literal["approve", "deny"]
# `executed`: in the database alone, since Redis knows the run of the preview.
State = Literal[
    "pending",
    "approved",
    "denied",
    "cancelled",
    "withdrawn",
    "outdated",
    "expired",
    "unused",
    "executed",
]


class Decider(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision. `key`: the id of the API key. `at`: epoch milliseconds, of the server.

    Of a person that an identity-aware proxy signed in, `key` is the subject, `groups` are those
    that gave the role, and `until` is when the decision ceases to count; 0 for a key.
    """

    decision: Decision
    subject: str
    key: str
    role: str
    reason: str = ""
    at: int = 0
    groups: Sequence[str] = ()
    until: int = 0


class RuleNeed(Struct, frozen=True):
    """What one rule asks. `approvers` empty: every key that may decide. `reason`: when one has to
    be given.
    """

    rule: str
    approvals: int = 1
    approvers: tuple[str, ...] = ()
    reason: Literal["never", "deny", "always"] = "never"

    def counts(self, *, subject: str, key: str, role: str) -> bool:
        """Whether the approval of this caller counts for this rule."""
        names = (f"subject:{subject}", f"key:{key}", f"role:{role}")
        return not self.approvers or any(name in self.approvers for name in names)
