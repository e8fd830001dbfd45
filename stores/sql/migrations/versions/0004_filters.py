"""Indexes for the filters by status and by principal, which may match few of many."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # 0005 changes this table: a change of keys that waits for an index to be built would
        # hold it, and each would wait for the other.
        op.execute("LOCK TABLE api_keys IN EXCLUSIVE MODE")
    op.create_index("audit_by_status", "audit", ["workspace", "status", "seq"])
    op.create_index("audit_by_principal", "audit", ["workspace", "principal", "seq"])
    op.create_index("runs_by_status", "runs", ["workspace", "status", "started_at", "run_id"])
    op.create_index("runs_by_principal", "runs", ["workspace", "principal", "started_at", "run_id"])
