"""Create indexes for the filters by status and by principal, which may match few rows."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # 0005 changes this table. A change of keys could hold it while it waits for an index to be
        # built here: a deadlock.
        op.execute("LOCK TABLE api_keys IN EXCLUSIVE MODE")
    op.create_index("audit_by_status", "audit", ["workspace", "status", "seq"])
    op.create_index("audit_by_principal", "audit", ["workspace", "principal", "seq"])
    op.create_index("runs_by_status", "runs", ["workspace", "status", "started_at", "run_id"])
    op.create_index("runs_by_principal", "runs", ["workspace", "principal", "started_at", "run_id"])
