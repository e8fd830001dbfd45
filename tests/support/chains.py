"""Audit chains for tests: entries of a day's work, appended as in production."""

from collections.abc import Sequence
from typing import Any

from stores.audit.chain import Chain
from stores.audit.signatures import Head, Row
from stores.audit_entries import Entry
from stores.sql.database import Database
from stores.sql.tables import AUDIT, HEADS

KEY = b"k" * 32
CHAIN = Chain([KEY])
DAY = 86_400_000
NOON = 1_790_000_000_000


def entry(event: str = "key.created", **fields: Any) -> Entry:
    return Entry(event=event, **{"principal": "key:abcdefgh", "at": NOON, **fields})


def intended(run_id: str, event: str = "run.intended", **fields: Any) -> Entry:
    what = {"action": "webhook.save", "provider": "independent", "preview_id": f"p-{run_id}"}
    return entry(event, run_id=run_id, **{**what, **fields})


def ended(run_id: str, **fields: Any) -> Entry:
    came = {"status": "success", "status_code": 200, "duration_ms": 12}
    return intended(run_id, "run.ended", **{**came, **fields})


def day(count: int, first: int = 1) -> list[tuple[str, Entry]]:
    """Sources and entries of this many intents, a second apart."""
    numbers = range(first, first + count)
    return [(f"{n}-0", intended(f"r-{n}", at=NOON + n * 1000)) for n in numbers]


async def append(
    database: Database, entries: Sequence[tuple[str, Entry]], workspace: str = "w"
) -> int:
    async with database.begin() as connection:
        return await CHAIN.append(connection, workspace, entries)


async def rows(database: Database, workspace: str = "w") -> list[Row]:
    asked = AUDIT.select + "WHERE workspace = $1 ORDER BY seq"
    async with database.connect() as connection:
        return [Row(*row) for row in await connection.fetch(asked, workspace)]


async def head(database: Database, workspace: str = "w") -> Head:
    async with database.connect() as connection:
        [row] = await connection.fetch(HEADS.select + "WHERE workspace = $1", workspace)
    return Head(*row[1:])
