"""One SQL for SQLite and PostgreSQL, where their dialects or their patience differ."""

from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def upsert(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that may say what to do when the row is there."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def truncate_to(column: Column[Any], text: str) -> str:
    """As much of a text as the column takes: PostgreSQL refuses what is longer, and any NUL."""
    return text.replace("\0", "")[: getattr(column.type, "length", None)]
