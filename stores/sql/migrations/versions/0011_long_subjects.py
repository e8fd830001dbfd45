"""Widen what names a caller: the subject of a person has the URL of an issuer in it.

Neither database rewrites a row: PostgreSQL widens a varchar in its catalogue, and SQLite does not
look at the width, so that its schema is edited as text (sqlite.org/lang_altertable.html, 7).
"""

from alembic import op
from sqlalchemy import String

revision = "0011"
down_revision = "0010"

WIDTH = 400
COLUMNS = {
    "api_keys": ("created_by", "revoked_by", "subject"),
    "signing_secrets": ("created_by",),
    "policies": ("created_by",),
    "channels": ("created_by",),
    "audit": ("principal",),
    "runs": ("principal",),
    "approvals": ("requester", "requester_key"),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _edit_schema()
        return
    for table, columns in COLUMNS.items():
        for column in columns:
            op.alter_column(table, column, type_=String(WIDTH))


def _edit_schema() -> None:
    op.execute("PRAGMA writable_schema = ON")
    for table, columns in COLUMNS.items():
        for column in columns:
            for width in (64, 100):
                op.execute(
                    "UPDATE sqlite_master SET sql = replace("  # noqa: S608 - no text of a caller
                    f"sql, '{column} VARCHAR({width})', '{column} VARCHAR({WIDTH})') "
                    f"WHERE type = 'table' AND name = '{table}'"
                )
    op.execute("PRAGMA writable_schema = RESET")
