"""Create the connections of workspaces: their credentials at providers and other hosts, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("label", sa.String(400), nullable=False),
        sa.Column("issuer", sa.String(400), nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("account", sa.String(400), nullable=False),
        sa.Column("tenant", sa.String(100)),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("hosts", sa.Text, nullable=False),
        sa.Column("header", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(400), nullable=False),
        sa.Column("refreshed_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("sealed_with", sa.String(16), nullable=False),
        sa.UniqueConstraint(
            "workspace", "provider", "issuer", "subject", name="connections_by_subject"
        ),
    )
