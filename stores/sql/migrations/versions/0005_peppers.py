"""Add the id of the pepper that each key was hashed with; NULL for older keys."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("peppered_with", sa.String(16)))
