"""Runs and audit over HTTP: of one's own workspace, page by page, also what Redis has forgotten."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.access.api_keys import make
from gateway.timestamps import timestamp
from stores.sql.database import Database, open_database
from tests.support.chains import NOON, append, day, ended, entry, intended, rows
from tests.support.gateways import Relay, until

RUN = """run_id preview_id action provider principal status reason status_code duration_ms
started_at trace_link"""
MIXED = [
    ("1", entry("key.created", at=NOON + 1, subject="abc")),
    ("2", intended("r-1", at=NOON + 2, action="slack.post", trace_link="https://t/1")),
    ("3", entry("request.refused", at=NOON + 3, status="forbidden", principal="zzzzzzzz")),
    ("4", ended("r-1", at=NOON + 4, action="slack.post", duration_ms=2)),
    ("5", intended("r-2", at=NOON + 5, principal="zzzzzzzz")),
]
# Without those who read it: they are audited a second later.
MIXED_TIME = {"since": timestamp(NOON), "until": timestamp(NOON + 9)}


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def pages(reader: Relay, path: str, name: str, **asked: Any) -> list[Any]:
    """What stands on all pages."""
    found: list[Any] = []
    while True:
        response = await reader.get(path, params=asked)
        assert response.status_code == 200, response.text
        page = response.json()
        found += page[name]
        if page["next_cursor"] is None:
            return found
        assert len(page[name]) == asked["limit"]
        asked["cursor"] = page["next_cursor"]


RUNS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["r-2", "r-1"]),
    ({"action": "slack.post"}, ["r-1"]),
    ({"status": "running"}, ["r-2"]),
    ({"principal": "zzzzzzzz"}, ["r-2"]),
    ({"since": timestamp(NOON + 3)}, ["r-2"]),
    ({"until": timestamp(NOON + 5)}, ["r-1"]),
    ({"status": "failed"}, []),
]


async def test_runs_are_listed(reader: Relay, database: Database) -> None:
    """Newest first, filtered, whatever the size of a page."""
    await append(database, MIXED, workspace="default")
    for asked, found in RUNS:
        for limit in (1, 2, 50):
            runs = await pages(reader, "/runs", "runs", limit=limit, **asked)
            assert [run["run_id"] for run in runs] == found, asked
    running, done = await pages(reader, "/runs", "runs", limit=2)
    assert done == {
        "run_id": "r-1",
        "preview_id": "p-r-1",
        "action": "slack.post",
        "provider": "independent",
        "principal": "key:abcdefgh",
        "status": "success",
        "reason": None,
        "status_code": 200,
        "duration_ms": 2,
        "started_at": timestamp(NOON + 2),
        "trace_link": "https://t/1",
    }
    assert running.keys() == set(RUN.split())


AUDIT: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [5, 4, 3, 2, 1]),
    ({"event": "run.intended"}, [5, 2]),
    ({"action": "slack.post"}, [4, 2]),
    ({"status": "forbidden"}, [3]),
    ({"principal": "zzzzzzzz"}, [5, 3]),
    ({"since": timestamp(NOON + 2), "until": timestamp(NOON + 4)}, [3, 2]),
]


async def test_the_audit_is_listed(reader: Relay, database: Database) -> None:
    """Each entry as it was recorded, its time for people, and its HMAC."""
    await append(database, MIXED, workspace="default")
    for asked, found in AUDIT:
        for limit in (2, 50):
            entries = await pages(
                reader, "/audit", "entries", limit=limit, **{**MIXED_TIME, **asked}
            )
            assert [one["seq"] for one in entries] == found, asked
    listed = await pages(reader, "/audit", "entries", limit=50, **MIXED_TIME)
    for row, shown in zip((await rows(database, "default"))[:5], reversed(listed), strict=True):
        recorded = msgspec.json.decode(row.entry)
        assert shown == {**recorded, "at": timestamp(row.at), "mac": row.mac.hex()}


async def test_other_workspaces_are_not_read(reader: Relay, database: Database) -> None:
    """Nor by a cursor of theirs, nor by the id of a run."""
    await append(database, day(3), workspace="other")
    for path, name in (("/runs", "runs"), ("/audit", "entries")):
        assert await pages(reader, path, name, limit=1, **MIXED_TIME) == []
    foreign, unknown = [await reader.get(f"/runs/{name}") for name in ("r-1", "r-9")]
    assert foreign.status_code == unknown.status_code == 404
    assert {**foreign.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


async def test_reading_the_audit_is_audited(reader: Relay) -> None:
    """With its parameters; reading runs is not audited."""
    await reader.get("/runs", params={"limit": 7})
    key = make(live=True)
    read = await reader.get("/audit", params={"limit": 7, "principal": key.text})

    async def recorded() -> list[Any]:
        return await pages(reader, "/audit", "entries", limit=50, event="audit.read")

    await until(recorded)
    first = (await recorded())[-1]
    assert first["detail"] == f"limit=7 principal=rly_live_{key.id}"  # less what stays secret
    assert first["request_id"] == read.json()["request_id"]
    assert (first["principal"], first["address"]) == ("anonymous", "127.0.0.1")


async def test_an_entry_that_was_changed_is_shown(reader: Relay, database: Database) -> None:
    """As the text that stands there; the others are read all the same."""
    await append(database, MIXED, workspace="default")
    too_far = (await rows(database, "default"))[3].entry.replace(str(NOON + 4), "9" * 20)
    for seq, changed in enumerate(("{", '{"event": 1}', "ä", too_far), 1):
        async with database.begin() as connection:
            update = "UPDATE audit SET entry = $1, mac = 'x' WHERE seq = $2"
            await connection.execute(update, changed, seq)
    entries = await pages(reader, "/audit", "entries", limit=50, **MIXED_TIME)
    shown = [one.get("unreadable") for one in entries]
    assert shown == [None, too_far, "ä", '{"event": 1}', "{"]
    assert [one["event"] for one in entries[1:]] == [what.event for _, what in MIXED[3::-1]]
    assert {one["mac"] for one in entries[1:]} == {"x"}


@pytest.mark.parametrize("path", ["/runs", "/audit"])
async def test_a_query_that_is_wrong_is_refused(reader: Relay, path: str) -> None:
    """By the name of the parameter."""
    for name, wrong in (("limit", "0"), ("cursor", "MTIz="), ("since", "24h"), ("offset", "5")):
        response = await reader.get(path, params={name: wrong})
        assert response.status_code == 400
        assert response.json()["code"] == "invalid_request"
        assert response.json()["detail"].startswith(f"The parameter {name}: ")
        assert "`" not in response.json()["detail"]
