"""Pages of the audit and of runs have each row once, newest first, of one workspace."""

from collections.abc import Callable

import pytest

from stores.audit import pages as audit_pages
from stores.audit.pages import Selection, audit_cursor
from stores.sql import runs as pages
from stores.sql.database import Database
from stores.sql.runs import Filter, RunsCursor, encoded, runs_cursor
from tests.support.chains import NOON, append, day, ended, entry, intended

ANY = Filter()
MIXED = [
    ("1", entry("key.created", at=NOON + 1, subject="abc")),
    ("2", intended("r-1", at=NOON + 2, action="slack.post")),
    ("3", entry("request.refused", at=NOON + 3, status="forbidden", principal="key:zzzzzzzz")),
    ("4", ended("r-1", at=NOON + 4, action="slack.post", status="failed", duration_ms=2)),
    ("5", intended("r-2", at=NOON + 5, principal="key:zzzzzzzz")),
]


async def audit_of(
    database: Database, filters: Filter = ANY, *, event: tuple[str, ...] = (), limit: int = 10
) -> list[int]:
    """The sequence numbers of all pages; each cursor is encoded and decoded."""
    found: list[int] = []
    after = None
    while True:
        async with database.connect() as connection:
            page = await audit_pages.audit_page(
                connection, Selection("w", filters, event), after=after, limit=limit
            )
        assert len(page.rows) == limit or page.after is None
        assert page.rows or after is None
        found += [row.seq for row in page.rows]
        if page.after is None:
            return found
        after = audit_cursor(encoded(page.after))


async def runs_of(database: Database, filters: Filter = ANY, *, limit: int = 10) -> list[str]:
    found: list[str] = []
    before = None
    while True:
        async with database.connect() as connection:
            page = await pages.runs_page(connection, "w", filters, before=before, limit=limit)
        assert len(page.rows) == limit or page.before is None
        assert page.rows or before is None
        found += [row.run_id for row in page.rows]
        if page.before is None:
            return found
        before = runs_cursor(encoded(page.before))


async def test_pages_hold_every_entry_once(database: Database) -> None:
    """Newest first, for every page size, without entries of other workspaces."""
    await append(database, MIXED)
    await append(database, day(9), workspace="other")
    for limit in range(1, 7):
        assert await audit_of(database, limit=limit) == [5, 4, 3, 2, 1], limit


AUDIT_FILTERS: list[tuple[Filter, tuple[str, ...], list[int]]] = [
    (ANY, ("key.created",), [1]),
    (ANY, ("run.intended", "run.ended"), [5, 4, 2]),
    (Filter(action="slack.post"), (), [4, 2]),
    (Filter(status="forbidden"), (), [3]),
    (Filter(status=""), (), [5, 2, 1]),
    (Filter(principal="key:zzzzzzzz"), (), [5, 3]),
    (Filter(principal="key:zzzzzzzz\0"), (), [5, 3]),
    (Filter(since_ms=NOON + 3), (), [5, 4, 3]),
    (Filter(until_ms=NOON + 3), (), [2, 1]),
    (Filter(since_ms=NOON + 2, until_ms=NOON + 5, action="slack.post"), (), [4, 2]),
    (Filter(action="slack.post", principal="nobody"), (), []),
]


async def test_the_audit_is_filtered(database: Database) -> None:
    await append(database, MIXED)
    for filters, event, found in AUDIT_FILTERS:
        for limit in (1, 2, 10):
            numbers = await audit_of(database, filters, event=event, limit=limit)
            assert numbers == found, (filters, event, limit)


async def test_new_entries_do_not_move_a_page(database: Database) -> None:
    """Cursors are keys, not offsets: the next page starts after the last row."""
    await append(database, day(4))
    async with database.connect() as connection:
        first = await audit_pages.audit_page(connection, Selection("w"), limit=2)
    await append(database, day(3, first=5))
    async with database.connect() as connection:
        second = await audit_pages.audit_page(
            connection, Selection("w"), after=first.after, limit=2
        )
    assert [row.seq for row in first.rows + second.rows] == [4, 3, 2, 1]


async def test_pages_hold_every_run_once(database: Database) -> None:
    """Newest first, also runs that started in the same millisecond."""
    times = [1, 2, 2, 2, 3, 3, 4]
    await append(
        database, [(str(n), intended(f"r-{n}", at=NOON + at)) for n, at in enumerate(times)]
    )
    await append(database, day(3), workspace="other")
    for limit in (1, 2, 3, 7, 8):
        found = await runs_of(database, limit=limit)
        assert found == [f"r-{n}" for n in (6, 5, 4, 3, 2, 1, 0)], limit


RUN_FILTERS = [
    (Filter(action="slack.post"), ["r-1"]),
    (Filter(status="running"), ["r-2"]),
    (Filter(status="failed"), ["r-1"]),
    (Filter(principal="key:zzzzzzzz"), ["r-2"]),
    (Filter(since_ms=NOON + 5), ["r-2"]),
    (Filter(since_ms=NOON + 2, until_ms=NOON + 5), ["r-1"]),
]


async def test_runs_are_filtered(database: Database) -> None:
    await append(database, MIXED)
    for filters, found in RUN_FILTERS:
        assert await runs_of(database, filters) == found, filters


async def test_a_cursor_does_not_lead_out_of_the_workspace(database: Database) -> None:
    """A cursor of another workspace is only a position in this one."""
    await append(database, day(2))
    await append(database, day(9), workspace="other")
    async with database.connect() as connection:
        audit = await audit_pages.audit_page(connection, Selection("other"), limit=5)
        mine = await audit_pages.audit_page(connection, Selection("w"), after=audit.after, limit=5)
        runs = await pages.runs_page(connection, "other", ANY, limit=1)
        my_runs = await pages.runs_page(connection, "w", ANY, before=runs.before, limit=5)
    assert [row.workspace for row in mine.rows] == ["w", "w"]
    assert [row.workspace for row in my_runs.rows] == ["w", "w"]


async def test_audited_workspaces_have_an_entry_a_checkpoint_or_a_head(database: Database) -> None:
    for workspace in ("b", "a", "-"):
        await append(database, day(2), workspace=workspace)
    async with database.connect() as connection:
        assert await audit_pages.audited_workspaces(connection) == ["-", "a", "b"]


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1])
def test_a_cursor_decodes_to_itself(number: int) -> None:
    """As text for a URL that needs no quoting."""
    cursor = RunsCursor(number, "r" * 36)
    assert audit_cursor(encoded(number)) == number
    assert runs_cursor(encoded(cursor)) == cursor
    assert encoded(cursor).replace("-", "").replace("_", "").isalnum()


JUNK = ["", "a", "a b", "!!!!", "é", "bnVsbA", "MTIz\n", "MTIz=", "InNlcSI", "Ww", "////", "W10"]
OUTSIDE = [-1, 2**63, (1, "r" * 37), (1, "r\0"), (2**63, "r"), (1, 1), (1,), (1, "r", 2), "1", 1.5]


@pytest.mark.parametrize("read", [audit_cursor, runs_cursor])
@pytest.mark.parametrize("text", [*JUNK, *map(encoded, OUTSIDE)])
def test_other_text_is_not_a_cursor(read: Callable[[str], object], text: str) -> None:
    """Neither is a value that no database accepts; it never reaches one."""
    with pytest.raises(ValueError, match="not a cursor"):
        read(text)
