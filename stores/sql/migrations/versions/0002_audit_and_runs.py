"""Create the audit chains, their heads and checkpoints, and the runs that outlive Redis."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("principal", sa.String(100), nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("workspace", "source", name="audit_source"),
    )
    op.create_index("audit_by_time", "audit", ["workspace", "at"])
    _create_ends()
    _create_runs()


def _create_ends() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.Column("removed_at", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.LargeBinary(32), nullable=False),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("run_id", sa.String(36), primary_key=True),
        sa.Column("preview_id", sa.String(100), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("provider", sa.String(100), nullable=False),
        sa.Column("principal", sa.String(100), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(40)),
        sa.Column("status_code", sa.Integer),
        sa.Column("duration_ms", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("trace_link", sa.Text),
    )
    op.create_index("runs_by_time", "runs", ["workspace", "started_at", "run_id"])
