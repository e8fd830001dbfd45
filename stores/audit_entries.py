"""An audit entry: who did what, when and from where, and the outcome. No bodies, no secrets."""

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
    "workspace.created workspace.changed audit.read entry.unreadable"
).split()


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`event`: one of EVENTS. `at`: epoch milliseconds. `status`: the outcome of a run (or
    `not_sent`), or the code of a refusal's problem. `key_hash`: SHA-256 of the idempotency key,
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
