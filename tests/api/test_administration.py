"""Keys and signing secrets over HTTP: shown once, of one's own workspace, in force at once."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.keys import KeyRequest
from stores.sql.database import Database, open_database
from tests.support.administered import asks, made, problem, seen
from tests.support.gateways import Relay, gateway
from tests.support.services import CLI, audited, services
from tests.support.valkey import Valkey

KEY = """id subject name kind role scopes created_at created_by expires_at last_used_at revoked_at
revoked_by replaced_by"""


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def test_a_key_is_shown_once(admin: Relay) -> None:
    """The list has all of it but the text and its digest, newest first."""
    answer = await made(admin, "operator", scopes=["runs:read"], kind="test", expires_in_days=1)
    assert answer.keys() == {"key", "secret", "request_id"}
    key = answer["key"]
    assert key.keys() == set(KEY.split())
    fields = [
        key[name] for name in ("name", "kind", "role", "scopes", "last_used_at", "revoked_at")
    ]
    assert fields == ["CI", "test", "operator", ["runs:read"], None, None]
    assert lasts(key) == timedelta(days=1)
    listing = await admin.get("/keys")
    assert [one["name"] for one in listing.json()["keys"]] == ["CI", "root"]
    assert await seen(admin, key["id"]) == key
    assert answer["secret"] not in listing.text
    assert answer["secret"].startswith(f"rly_test_{key['id']}")


def lasts(key: Any) -> timedelta:
    return datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])


async def test_omitted_members_have_their_published_defaults(admin: Relay) -> None:
    """A live key of all of its role, for 90 days."""
    key = (await made(admin))["key"]
    assert (key["kind"], key["scopes"], lasts(key)) == ("live", None, timedelta(days=90))


async def test_a_change_of_keys_holds_at_once(admin: Relay) -> None:
    """On the gateway that made it, with the next request."""
    answer = await made(admin)
    assert await asks(admin, answer["secret"]) == 200
    revoked = await admin.delete(f"/keys/{answer['key']['id']}")
    assert await asks(admin, answer["secret"]) == 401
    key = revoked.json()["key"]
    assert key == await seen(admin, key["id"])
    assert key["revoked_at"] >= key["created_at"]
    again = await admin.delete(f"/keys/{key['id']}")
    assert (again.status_code, again.json()["key"]) == (200, key)


async def test_the_first_key_closes_the_gateway(
    valkey: Valkey, sqlite_url: str, tmp_path: Path
) -> None:
    """Every later request needs one."""
    async with gateway(valkey.url, data_dir=tmp_path) as anybody:
        first = await made(anybody, "admin")
        assert (await anybody.get("/keys")).status_code == 401
        assert await asks(anybody, first["secret"], "/keys") == 200


async def test_for_a_while_both_keys_hold(admin: Relay) -> None:
    """Rotated: another like it, and the old one ends after the overlap."""
    old = await made(admin, "operator", scopes=["runs:read"], kind="test", expires_in_days=2)
    path = f"/keys/{old['key']['id']}/rotate"
    response = await admin.post(path, json={"overlap_hours": 1})
    assert response.status_code == 201
    new = response.json()
    alike = ("name", "role", "scopes", "kind")
    assert [new["key"][name] for name in alike] == [old["key"][name] for name in alike]
    ends = await seen(admin, old["key"]["id"])
    assert ends["replaced_by"] == new["key"]["id"]
    assert timedelta(hours=1) <= lasts(ends) < timedelta(hours=1, minutes=1)
    assert [await asks(admin, one["secret"]) for one in (old, new)] == [200, 200]
    assert problem(await admin.post(path, json={})) == (409, "key_ended")


async def test_without_an_overlap_the_old_key_ends_at_once(admin: Relay) -> None:
    old = await made(admin)
    path = f"/keys/{old['key']['id']}/rotate"
    new = (await admin.post(path, json={"overlap_hours": 0})).json()
    assert [await asks(admin, one["secret"]) for one in (old, new)] == [401, 200]


async def test_an_overlap_is_a_day_by_default(admin: Relay) -> None:
    old = (await made(admin))["key"]
    await admin.post(f"/keys/{old['id']}/rotate", json={})
    assert lasts(await seen(admin, old["id"])) // timedelta(hours=1) == 24


async def test_a_foreign_key_is_an_unknown_one(admin: Relay, database: Database) -> None:
    """The same answer but for its id, whatever stands in the path, and nothing has changed."""
    await services(database).workspaces.create("team", actor=CLI)
    theirs = await services(database).keys.create_key("team", KeyRequest("CI", "viewer"), actor=CLI)
    foreign = theirs.key.id
    answers: list[tuple[int, Any]] = []
    for key_id in (foreign, "abcdefgh", "x", "a" * 9, "abc%00fgh", "abc%C3%A9fgh", "%25", "root"):
        rotated = await admin.post(f"/keys/{key_id}/rotate", json={})
        both = (rotated, await admin.delete(f"/keys/{key_id}"))
        answers += [(one.status_code, {**one.json(), "request_id": ""}) for one in both]
    assert answers == [answers[0]] * 16
    assert answers[0][1]["code"] == "key_not_found"
    assert foreign not in (await admin.get("/keys")).text
    (listed,) = await services(database).keys.list_keys("team")
    assert (listed.id, listed.revoked_at, listed.replaced_by) == (foreign, None, None)


async def test_a_change_records_its_actor(admin: Relay, database: Database) -> None:
    """In the key and in the audit: by which key, from where, in which request."""
    root = (await services(database).keys.list_keys("default"))[0]
    answer = await made(admin)
    assert answer["key"]["created_by"] == root.id
    entry = (await audited(database))[-1]
    assert (entry.event, entry.subject) == ("key.created", answer["key"]["id"])
    said = (entry.principal, entry.address, entry.request_id)
    assert said == (root.id, "127.0.0.1", answer["request_id"])
