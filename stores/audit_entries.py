"""An audit entry: who did what, when and from where, and the outcome. No bodies, no secrets."""

from collections.abc import Sequence

from msgspec import Struct

# The principal of what a gateway does without a request.
RELAY = "relay"
# The principal of a request without a key: in development before the first key, or refused.
ANONYMOUS = "anonymous"
# The workspace of entries without one, such as an unknown key. No workspace can have this name.
NOWHERE = "-"

# Every event. The last one replaces an entry that could not be decoded.
EVENTS = (
    "run.intended run.ended request.refused key.created key.rotated key.revoked secret.created "
    "workspace.created workspace.changed audit.read approval.requested approval.decided "
    "approval.ended entry.unreadable"
).split()


class ApprovalFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an entry says of an approval. `needed`: how many approvals. `policies`: the digests of
    the policies that were asked. `requester` and `approver`: subjects.
    """

    requester: str = ""
    needed: int = 0
    rules: Sequence[str] = ()
    policies: Sequence[str] = ()
    decide_ms: int = 0
    decision: str = ""
    approver: str = ""
    role: str = ""


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`event`: one of EVENTS. `at`: epoch milliseconds. `status`: the outcome of a run (or
    `not_sent`), the code of a refusal's problem, or
    the state of an approval. `key_hash`: SHA-256 of the idempotency key,
    hex. `count`: how many like entries this one stands for. `subject`: the id of the key, secret
    or workspace that was changed, or of the key that a refused request named.
    """

    event: str
    at: int = 0
    principal: str
    address: str = ""
    request_id: str = ""
    action: str = ""
    provider: str = ""
    preview_id: str = ""
    run_id: str = ""
    digest: str = ""
    key_hash: str = ""
    trace_link: str = ""
    subject: str = ""
    status: str = ""
    reason: str = ""
    status_code: int = 0
    duration_ms: int = 0
    count: int = 1
    detail: str = ""
    approval: ApprovalFacts | None = None
