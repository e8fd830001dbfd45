"""Create workspaces and their API keys; the workspace `default` always exists."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    workspaces = op.create_table(
        "workspaces",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("preview_limit", sa.Integer),
        sa.Column("execute_limit", sa.Integer),
        sa.Column("runs_at_once", sa.Integer),
        sa.Column("runs_at_once_per_target", sa.Integer),
    )
    op.bulk_insert(workspaces, [{"name": "default", "created_at": int(time.time() * 1000)}])
    generation = op.create_table(
        "generation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(generation, [{"id": 1, "number": 0}])
    _create_api_keys()


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("scopes", sa.Text),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revoked_by", sa.String(100)),
        sa.Column("replaced_by", sa.String(8)),
    )
    op.create_index("api_keys_of_workspace", "api_keys", ["workspace", "created_at"])
