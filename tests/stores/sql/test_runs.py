"""The rows of runs are derived from audit entries."""

from typing import Any

import pytest

from stores.audit_entries import Entry
from stores.sql.database import Database
from stores.sql.runs import RunRow, find_run
from tests.support.chains import NOON, append, ended, entry, intended


async def find(database: Database, run_id: str = "r", workspace: str = "w") -> RunRow | None:
    async with database.connect() as connection:
        return await find_run(connection, workspace, run_id)


def row(**fields: Any) -> RunRow:
    """The row of a running run, with these fields changed."""
    running = RunRow(
        workspace="w",
        run_id="r",
        preview_id="p-r",
        action="webhook.save",
        provider="independent",
        principal="key:abcdefgh",
        status="running",
        reason=None,
        status_code=None,
        duration_ms=None,
        started_at=NOON,
        trace_link=None,
    )
    return running._replace(**fields)


async def test_an_intent_opens_a_run(database: Database) -> None:
    await append(database, [("1", intended("r", trace_link="https://g.example/t"))])
    assert await find(database) == row(trace_link="https://g.example/t")


SUCCESS = {"status": "success", "status_code": 200, "duration_ms": 12}
# The fields of an ending, and the columns that differ from them.
OUTCOMES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (SUCCESS, {}),
    ({"duration_ms": 0, "status_code": 204}, {}),
    ({"status": "failed", "reason": "target_status", "status_code": 500}, {}),
    (
        {"status": "unknown", "reason": "no_response", "status_code": 0, "duration_ms": 15_000},
        {"status_code": None},
    ),
    (
        {"status": "unknown", "reason": "interrupted", "status_code": 0, "duration_ms": 0},
        {"status_code": None, "duration_ms": None},
    ),
    (
        {"status": "not_sent", "reason": "dns", "status_code": 0, "duration_ms": 0},
        {"status_code": None, "duration_ms": None},
    ),
]


@pytest.mark.parametrize("together", [True, False])
async def test_an_ending_ends_its_run(database: Database, *, together: bool) -> None:
    """In the batch of its intent, or in a later one."""
    numbers = range(len(OUTCOMES))
    intents = [(f"{n}-0", intended(f"r-{n}")) for n in numbers]
    endings = [(f"{n}-1", ended(f"r-{n}", at=NOON + 20, **OUTCOMES[n][0])) for n in numbers]
    for batch in [intents + endings] if together else [intents, endings]:
        await append(database, batch)
    for n, (sent, differs) in enumerate(OUTCOMES):
        fields = {"run_id": f"r-{n}", "preview_id": f"p-r-{n}", **SUCCESS, **sent, **differs}
        assert await find(database, f"r-{n}") == row(**fields)


async def test_an_ending_without_an_intent_makes_a_run(database: Database) -> None:
    """An intent that arrives later changes nothing."""
    await append(database, [("2", ended("r", at=NOON + 12))])
    assert await find(database) == row(**SUCCESS)
    await append(database, [("1", intended("r", at=NOON - 5))])
    assert await find(database) == row(**SUCCESS)


@pytest.mark.parametrize("together", [True, False])
async def test_the_first_outcome_stays(database: Database, *, together: bool) -> None:
    unknown = ended("r", status="unknown", reason="no_response", status_code=0)
    endings = [("1", intended("r")), ("2", unknown), ("3", ended("r"))]
    for batch in [endings] if together else [[each] for each in endings]:
        await append(database, batch)
    found = await find(database)
    assert found
    assert (found.status, found.reason) == ("unknown", "no_response")


async def test_other_entries_are_no_runs(database: Database) -> None:
    refused: list[tuple[str, Entry]] = [("1", entry("request.refused", run_id="r"))]
    await append(database, refused)
    assert await find(database) is None


async def test_runs_belong_to_their_workspace(database: Database) -> None:
    """The same id in two workspaces is two runs. An id that no database accepts is none."""
    await append(database, [("1", intended("r"))])
    await append(database, [("1", ended("r", at=NOON + 12))], workspace="other")
    assert await find(database) == row()
    assert await find(database, workspace="other") == row(workspace="other", **SUCCESS)
    assert await find(database, workspace="third") is None
    assert await find(database, run_id="r\0") is None
