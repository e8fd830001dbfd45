"""One SQL for SQLite and PostgreSQL where their dialects differ."""

from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def upsert(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can define what happens if the row exists."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def truncate_to(column: Column[Any], text: str) -> str:
    """Shorten a text to what the column takes: PostgreSQL refuses longer text, and any NUL."""
    return text.replace("\0", "")[: getattr(column.type, "length", None)]
