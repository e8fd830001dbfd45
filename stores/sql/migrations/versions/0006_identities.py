"""Add the subject behind each key, and the subjects and keys that made it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("subject", sa.String(64)))
    op.add_column("api_keys", sa.Column("makers", sa.Text))
