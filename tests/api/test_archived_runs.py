"""A run that Redis has forgotten is answered from the database, for as long as that keeps it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway.execution.documents import NotSentCode
from gateway.timestamps import timestamp
from stores.sql.database import Database, open_database
from tests.support.chains import NOON, append, ended, intended
from tests.support.gateways import Relay, gateway, until
from tests.support.target import Target
from tests.support.valkey import Valkey

INTERRUPTED = "The lease of this run ended before its outcome was stored."


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def test_a_forgotten_run_is_as_it_was(reader: Relay, valkey: Valkey, target: Target) -> None:
    """But for what the target said: that was kept for a day."""
    executed = await reader.execute(await reader.preview_id(target.url))
    run = executed.json()

    async def shipped() -> bool:
        runs = (await reader.get("/runs", params={"status": "success"})).json()["runs"]
        return [one["run_id"] for one in runs] == [run["run_id"]]

    await until(shipped)
    with valkey.client() as client:
        client.flushall()
    kept = (await reader.get(executed.headers["location"])).json()
    assert kept.pop("result") == {**run.pop("result"), "response": "", "truncated": True}
    drift = abs(milliseconds(kept.pop("started_at")) - milliseconds(run.pop("started_at")))
    assert drift < 1000
    assert {**kept, "request_id": ""} == {**run, "request_id": ""}


def milliseconds(at: str) -> int:
    return int(at[17:19]) * 1000 + int(at[20:23])


NO_ANSWER = "No complete answer came back."
# What the audit recorded, and what is shown: status, duration, status code, error.
ENDINGS: list[tuple[dict[str, Any] | None, tuple[Any, ...]]] = [
    (None, ("running", None, None, None)),
    ({"status_code": 204}, ("success", 12, 204, None)),
    (
        {"status": "failed", "status_code": 500, "reason": "target_status"},
        ("failed", 12, 500, {"code": "target_status", "detail": "The target answered 500."}),
    ),
    (
        {"status": "unknown", "status_code": 0, "reason": "no_response"},
        ("unknown", 12, None, {"code": "no_response", "detail": NO_ANSWER}),
    ),
    (
        {"status": "unknown", "status_code": 0, "reason": "interrupted"},
        ("unknown", None, None, {"code": "interrupted", "detail": INTERRUPTED}),
    ),
    *(
        (
            {"status": "not_sent", "status_code": 0, "reason": reason},
            ("not_sent", None, None, {"code": reason, "detail": "Nothing was sent."}),
        )
        for reason in get_args(NotSentCode)
    ),
]


async def test_each_outcome_is_shown(reader: Relay, database: Database) -> None:
    """With its status, and why it was no success; only what was not sent may be sent again."""
    for number, (ending, _) in enumerate(ENDINGS):
        name = f"r-{number}"
        entries = [(f"{number}-0", intended(name, at=NOON))]
        if ending:
            entries.append((f"{number}-1", ended(name, at=NOON + 12, **ending)))
        await append(database, entries, workspace="default")
    for number, (_, (status, duration_ms, status_code, error)) in enumerate(ENDINGS):
        run = (await reader.get(f"/runs/r-{number}")).json()
        assert run.pop("request_id")
        result = status_code and {"status_code": status_code, "response": "", "truncated": True}
        assert run == {
            "run_id": f"r-{number}",
            "preview_id": f"p-r-{number}",
            "action": "webhook.save",
            "provider": "independent",
            "status": status,
            "result": result,
            "error": error and {**error, "safe_to_retry": status == "not_sent"},
            "duration_ms": duration_ms,
            "started_at": timestamp(NOON),
            "trace_link": None,
            "approval": None,
        }


async def test_an_unknown_run_is_not_found(reader: Relay) -> None:
    for name in ("unknown", "a%00b"):
        response = await reader.get(f"/runs/{name}")
        assert (response.status_code, response.json()["code"]) == (404, "run_not_found")


async def test_no_database_is_made_to_find_nothing(valkey: Valkey, tmp_path: Path) -> None:
    """To make one takes a second; in development what lists things does."""
    async with gateway(valkey.url, data_dir=tmp_path) as client:
        assert (await client.get("/runs/unknown")).status_code == 404
        assert not (tmp_path / "relay.db").exists()
        for path, name in (("/runs", "runs"), ("/keys", "keys"), ("/secrets", "secrets")):
            response = await client.get(path)
            assert (response.status_code, response.json()[name]) == (200, []), response.text
