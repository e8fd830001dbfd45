"""Create the history of approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("preview_id", sa.String(100), primary_key=True),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("provider", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("requester", sa.String(100), nullable=False),
        sa.Column("requester_key", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("needs", sa.Text, nullable=False),
        sa.Column("policies", sa.Text, nullable=False),
        sa.Column("deciders", sa.Text, nullable=False),
        sa.Column("entries", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("decide_by", sa.BigInteger, nullable=False),
        sa.Column("use_ms", sa.BigInteger, nullable=False),
        sa.Column("use_by", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("run_id", sa.String(36)),
    )
    order = ["requested_at", "preview_id"]
    op.create_index("approvals_by_time", "approvals", ["workspace", *order])
    op.create_index("approvals_by_state", "approvals", ["workspace", "state", *order])
