"""Every table, as the migrations create it. Times are epoch milliseconds, UTC."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

workspaces = Table(
    "workspaces",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    # They override the settings; NULL uses the setting.
    Column("preview_limit", Integer),
    Column("execute_limit", Integer),
    Column("runs_at_once", Integer),
    Column("runs_at_once_per_target", Integer),
)

# One row with one number, which grows with every change that gateways have to read.
generation = Table(
    "generation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("workspace", ForeignKey("workspaces.name"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("live", Boolean, nullable=False),
    Column("role", String(20), nullable=False),
    # Separated by spaces; NULL for all scopes of the role.
    Column("scopes", Text),
    # HMAC-SHA256 under the pepper.
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String(100)),
    Column("replaced_by", String(8)),
    # The id of the pepper; NULL for keys that are older than this column.
    Column("peppered_with", String(16), key="pepper_id"),
    Index("api_keys_of_workspace", "workspace", "created_at"),
)

signing_secrets = Table(
    "signing_secrets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("workspace", ForeignKey("workspaces.name"), nullable=False),
    # AES-256-GCM: nonce, then ciphertext and tag; and the id of the encryption key.
    Column("sealed", LargeBinary, nullable=False),
    Column("sealed_with", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(100), nullable=False),
    # Set when a newer secret replaces this one: until then Relay signs with both.
    Column("retires_at", BigInteger),
    Index("signing_secrets_of_workspace", "workspace", "created_at"),
)

# Without a foreign key to `workspaces`: entries must outlive their workspace.
audit = Table(
    "audit",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    # The id of the entry in the outbox, or a unique one. An entry that arrives twice is kept once.
    Column("source", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    # For filters. `entry` contains the same values; the MAC covers `entry`.
    Column("event", String(40), nullable=False),
    Column("action", String(100), nullable=False),
    Column("status", String(40), nullable=False),
    Column("principal", String(100), nullable=False),
    Column("entry", Text, nullable=False),
    Column("mac", LargeBinary(32), nullable=False),
    UniqueConstraint("workspace", "source", name="audit_source"),
    Index("audit_by_time", "workspace", "at"),
    Index("audit_by_status", "workspace", "status", "seq"),
    Index("audit_by_principal", "workspace", "principal", "seq"),
)

# The last entry of each chain. An append locks its row.
audit_heads = Table(
    "audit_heads",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("mac", LargeBinary(32), nullable=False),
    Column("signature", LargeBinary(32), nullable=False),
)

# The last entry that retention removed: the rest of the chain follows it.
audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("mac", LargeBinary(32), nullable=False),
    Column("removed_at", BigInteger, nullable=False),
    Column("signature", LargeBinary(32), nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("run_id", String(36), primary_key=True),
    Column("preview_id", String(100), nullable=False),
    Column("action", String(100), nullable=False),
    Column("provider", String(100), nullable=False),
    Column("principal", String(100), nullable=False),
    # running, success, failed, unknown, not_sent
    Column("status", String(20), nullable=False),
    Column("reason", String(40)),
    Column("status_code", Integer),
    Column("duration_ms", BigInteger),
    Column("started_at", BigInteger, nullable=False),
    Column("trace_link", Text),
    Index("runs_by_time", "workspace", "started_at", "run_id"),
    Index("runs_by_status", "workspace", "status", "started_at", "run_id"),
    Index("runs_by_principal", "workspace", "principal", "started_at", "run_id"),
)
