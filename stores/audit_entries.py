"""An audit entry: who did what, when and from where, and the outcome. No bodies, no secrets."""

from collections.abc import Sequence

from msgspec import Struct

from stores.approvals import Decider, RuleNeed

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
    "approval.ended policy.changed channel.changed connection.created "
    "connection.connected connection.needs_reauth connection.denied "
    "connection.deleted session.started session.ended entry.unreadable"
).split()


class ApprovalFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an entry says of an approval. `needs`: one a rule. `policies`: the digests of the
    policies that were asked. `requester` and `approver`: subjects. `deciders`: of a run that was
    approved. Durations are milliseconds.
    """

    requester: str = ""
    needed: int = 0
    needs: Sequence[RuleNeed] = ()
    policies: Sequence[str] = ()
    decide_ms: int = 0
    use_ms: int = 0
    decision: str = ""
    approver: str = ""
    role: str = ""
    deciders: Sequence[Decider] = ()


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`event`: one of EVENTS. `at`: epoch milliseconds. `status`: the outcome of a run (or
    `not_sent`), the code of a refusal's problem, or the state of an approval. `key_hash`: SHA-256
    of the idempotency key, hex. `count`: how many like entries this one stands for. `subject`: the
    id of what was changed (a key, secret, workspace or connection), or of the key that a refused
    request named. `signed`: the workspace had signing secrets. From `method` to `warned`: what a
    policy may know of the preview of a run: `connection`, `label` and `account` are as whom it is
    sent, `requester` is the subject that asked for it. `via`: for a call of a tool, `mcp` and the
    name that the client claims.
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
    signed: bool = False
    method: str = ""
    host: str = ""
    connection: str = ""
    label: str = ""
    account: str = ""
    requester: str = ""
    role: str = ""
    kind: str = ""
    warned: bool = False
    via: str = ""
    approval: ApprovalFacts | None = None
