"""Create the sessions that were ended before their time."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("workspace", sa.String(63), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
