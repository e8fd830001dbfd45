"""Channels over HTTP: through the guard, one name each, audited, and inside one workspace."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from stores.sql.database import Database, open_database
from tests.support.administered import problem
from tests.support.gateways import Relay
from tests.support.services import audited
from tests.support.target import Target, status

URL = "http://127.0.0.1:9/services/T-secret"


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def created(admin: Relay, name: str = "duty", **given: object) -> dict[str, object]:
    response = await admin.post("/channels", json={"name": name, "url": URL, **given})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def test_a_channel_is_created_listed_and_deleted(admin: Relay, database: Database) -> None:
    """Each change has its audit entry, which does not repeat the URL's path."""
    made = await created(admin, escalation_only=True)
    assert made.keys() == {
        *("id", "name", "url", "escalation_only", "created_at", "created_by", "request_id")
    }
    assert (made["url"], made["escalation_only"]) == (URL, True)
    [listed] = (await admin.get("/channels")).json()["channels"]
    assert listed == {**{name: made[name] for name in listed if name in made}, "last_answer": None}
    gone = await admin.delete(f"/channels/{made['id']}")
    assert (gone.status_code, gone.json()["name"]) == (200, "duty")
    assert (await admin.get("/channels")).json()["channels"] == []
    assert problem(await admin.delete(f"/channels/{made['id']}")) == (404, "channel_not_found")
    entries = [it for it in await audited(database) if it.event == "channel.changed"]
    assert [it.detail.partition(" ")[0] for it in entries] == ["created", "deleted"]
    assert {it.subject for it in entries} == {made["id"]}
    assert not any("T-secret" in it.detail for it in entries)


async def test_a_name_is_taken_once(admin: Relay) -> None:
    await created(admin)
    again = await admin.post("/channels", json={"name": "duty", "url": URL})
    assert problem(again) == (409, "channel_exists")
    await created(admin, "Duty")


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/", "http://10.0.0.1/", "ftp://a.example/", "http://u:p@127.0.0.1/"],
)
async def test_the_guard_refuses_a_target(admin: Relay, url: str) -> None:
    refused = await admin.post("/channels", json={"name": "duty", "url": url})
    assert problem(refused) == (422, "target_forbidden")
    assert (await admin.get("/channels")).json()["channels"] == []


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\u200bb"])
async def test_a_name_is_short_and_printable(admin: Relay, name: str) -> None:
    refused = await admin.post("/channels", json={"name": name, "url": URL})
    assert problem(refused) == (400, "invalid_request")


async def test_a_workspace_has_at_most_twenty_channels(admin: Relay) -> None:
    for number in range(20):
        await created(admin, f"duty-{number}")
    refused = await admin.post("/channels", json={"name": "one more", "url": URL})
    assert problem(refused) == (400, "invalid_request")


async def test_a_channel_is_tested(admin: Relay, target: Target) -> None:
    """The message says that it is a test, and the list keeps what was answered."""
    channel = (await admin.post("/channels", json={"name": "duty", "url": target.url})).json()
    path = f"/channels/{channel['id']}/test"
    sent = (await admin.post(path)).json()
    assert (sent["outcome"], sent["status_code"], sent["detail"]) == ("sent", 200, "")
    [delivery] = target.deliveries
    message = msgspec.json.decode(delivery.body)
    assert (message["type"], message["data"]) == ("channel.test", {"channel": "duty"})
    target.answer = status(500)
    failed = (await admin.post(path)).json()
    assert (failed["outcome"], failed["detail"]) == ("failed", "It answered 500.")
    await created(admin, "untested")
    listed = (await admin.get("/channels")).json()["channels"]
    kept = {it: failed[it] for it in ("outcome", "status_code", "detail", "at")}
    assert [it["last_answer"] for it in listed] == [kept, None]


async def test_a_channel_that_cannot_be_reached_says_why(admin: Relay) -> None:
    channel = await created(admin)
    answer = (await admin.post(f"/channels/{channel['id']}/test")).json()
    assert (answer["outcome"], answer["status_code"]) == ("failed", None)
    assert answer["detail"]
