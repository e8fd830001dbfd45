"""Every table, as the migrations create it: its columns in their order, and their types in
PostgreSQL. Times are epoch milliseconds, UTC.
"""

import re


class Table:
    def __init__(self, name: str, columns: str) -> None:
        """`columns`: pairs of a name and a type."""
        words = columns.split()
        self.name = name
        self.columns = dict(zip(words[::2], words[1::2], strict=True))
        self.names = ", ".join(self.columns)
        self.select = f"SELECT {self.names} FROM {name} "  # noqa: S608 - no text of a caller
        self._widths = {
            column: int(width[1])
            for column, kind in self.columns.items()
            if (width := re.search(r"\((\d+)\)", kind))
        }

    def fit(self, column: str, text: str) -> str:
        """Shorten a text to what the column takes: PostgreSQL refuses longer text, and any NUL."""
        width = self._widths[column]
        if len(text) > width or "\0" in text:
            return text.replace("\0", "")[:width]
        return text


# The limits override the settings; NULL uses the setting.
WORKSPACES = Table(
    "workspaces",
    "name varchar(63) created_at bigint preview_limit integer execute_limit integer "
    "runs_at_once integer runs_at_once_per_target integer",
)
# One row with one number, which grows with every change that gateways have to read.
GENERATION = Table("generation", "id integer number bigint")
# `scopes`: separated by spaces; NULL for all scopes of the role. `digest`: HMAC-SHA256 under the
# pepper. `peppered_with`: the id of the pepper; NULL for keys that are older than this column.
API_KEYS = Table(
    "api_keys",
    "id varchar(8) workspace varchar(63) name varchar(100) live boolean role varchar(20) "
    "scopes text digest bytea created_at bigint created_by varchar(400) expires_at bigint "
    "last_used_at bigint revoked_at bigint revoked_by varchar(400) replaced_by varchar(8) "
    "peppered_with varchar(16) subject varchar(400) makers text",
)
# `sealed`: AES-256-GCM: nonce, then ciphertext and tag. `sealed_with`: the id of the encryption
# key. `retires_at`: set when a newer secret replaces this one: until then Relay signs with both.
SIGNING_SECRETS = Table(
    "signing_secrets",
    "id varchar(36) workspace varchar(63) sealed bytea sealed_with varchar(16) created_at bigint "
    "created_by varchar(400) retires_at bigint",
)
# Sessions of browsers that were ended before their time. `until`: when they end anyway.
ENDED_SESSIONS = Table("ended_sessions", "id varchar(22) workspace varchar(63) until bigint")
# `escalation_only`: gets only the reminders of rules that name it.
CHANNELS = Table(
    "channels",
    "id varchar(36) workspace varchar(63) name varchar(64) url varchar(2048) "
    "escalation_only boolean created_at bigint created_by varchar(400)",
)
# `scopes` and `hosts`: separated by spaces. `header`: of the request, which carries the secret.
# `sealed`: as in signing secrets, bound to `id` and `version`.
CONNECTIONS = Table(
    "connections",
    "id varchar(36) workspace varchar(63) provider varchar(40) kind varchar(20) label varchar(400) "
    "issuer varchar(400) subject varchar(400) account varchar(400) tenant varchar(100) scopes text "
    "hosts text header varchar(64) state varchar(20) version integer created_at bigint "
    "created_by varchar(400) refreshed_at bigint used_at bigint sealed bytea "
    "sealed_with varchar(16)",
)
# Without a foreign key to `workspaces`: entries must outlive their workspace. `source`: the id of
# the entry in the outbox, or a unique one: an entry that arrives twice is kept once. The columns
# from `event` to `principal` are for filters; the MAC covers `entry`, which has the same values.
AUDIT = Table(
    "audit",
    "workspace varchar(63) seq bigint source varchar(64) at bigint event varchar(40) "
    "action varchar(100) status varchar(40) principal varchar(400) entry text mac bytea",
)
# The last entry of each chain. An append locks its row.
HEADS = Table("audit_heads", "workspace varchar(63) seq bigint mac bytea signature bytea")
# The last entry that retention removed: the rest of the chain follows it.
CHECKPOINTS = Table(
    "audit_checkpoints",
    "workspace varchar(63) seq bigint mac bytea removed_at bigint signature bytea",
)
# `status`: running, success, failed, unknown, not_sent.
RUNS = Table(
    "runs",
    "workspace varchar(63) run_id varchar(36) preview_id varchar(100) action varchar(100) "
    "provider varchar(100) principal varchar(400) status varchar(20) reason varchar(40) "
    "status_code integer duration_ms bigint started_at bigint trace_link text",
)
# `needs`, `policies`, `deciders` and `entries` are JSON; `entries`: the sequence numbers in the
# audit. `use_by`: once approved.
APPROVALS = Table(
    "approvals",
    "workspace varchar(63) preview_id varchar(100) action varchar(100) provider varchar(100) "
    "digest varchar(80) requester varchar(400) requester_key varchar(400) state varchar(20) "
    "needs text policies text deciders text entries text requested_at bigint decide_by bigint "
    "use_ms bigint use_by bigint ended_at bigint run_id varchar(36)",
)
# `digest`: `sha256:<hex>` of the text, which is TOML.
POLICIES = Table(
    "policies",
    "workspace varchar(63) version integer digest varchar(80) text text created_by varchar(400) "
    "created_at bigint",
)
TABLES = (
    *(WORKSPACES, GENERATION, API_KEYS, SIGNING_SECRETS, ENDED_SESSIONS, POLICIES, CHANNELS),
    *(CONNECTIONS, AUDIT, HEADS, CHECKPOINTS, RUNS, APPROVALS),
)
