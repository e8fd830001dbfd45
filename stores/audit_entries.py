"""An audit entry: who did what, when, from where, and what came of it. No bodies, no secrets."""

from msgspec import Struct

# The principal of what the gateway does by itself.
RELAY = "relay"
# The principal of a request without a key: in development before the first key, or refused.
ANONYMOUS = "anonymous"
# The workspace of what belongs to none, such as an unknown key. No workspace can have this name.
NOWHERE = "-"


# What an entry can be about; the last stands where there was what is no entry.
EVENTS = (
    "run.intended run.ended request.refused key.created key.rotated key.revoked secret.created "
    "workspace.created workspace.changed audit.read entry.unreadable"
).split()


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`event`: one of EVENTS. `at`: epoch milliseconds. `status`: of a run its outcome (or
    `not_sent`), of a refusal the problem's code. `key_hash`: SHA-256 of the idempotency key, hex.
    `count`: how many alike were merged into this one. `subject`: the id of the key, secret or
    workspace that was changed, or of the key that a request named without having it.
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
