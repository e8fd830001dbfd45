"""An audit entry: who did what, when, from where, and what came of it. No bodies, no secrets."""

from msgspec import Struct

# Who acts when nobody asks: the gateway itself.
RELAY = "relay"
# Whoever asks without a key: in development as long as none was made, or to be refused.
ANONYMOUS = "anonymous"
# The workspace of what belongs to none, such as a key that nobody has. No name of one can be this.
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
    workspace that was changed, or of the key that was named by somebody who does not have it.
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
