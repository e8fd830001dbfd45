"""Changes of keys that are refused over HTTP change nothing and name the reason."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.config.secret import Secret
from stores.sql.database import Database, open_database
from tests.support.administered import administered, made, problem, seen
from tests.support.database_proxy import proxy
from tests.support.gateways import Relay
from tests.support.postgres import Postgres
from tests.support.valkey import Valkey

JSON = {"Content-Type": "application/json"}
VIEWER: dict[str, Any] = {"name": "CI", "role": "viewer"}
KEYS = [
    ({"name": "CI"}, "/role"),
    ({"role": "viewer"}, "/name"),
    (VIEWER | {"name": ""}, "/name"),
    (VIEWER | {"name": "n" * 101}, "/name"),
    (VIEWER | {"name": "a\0"}, None),
    (VIEWER | {"role": "root"}, "/role"),
    (VIEWER | {"scopes": []}, None),
    (VIEWER | {"scopes": ["runs"]}, "/scopes/0"),
    (VIEWER | {"scopes": ["keys:manage"]}, None),
    (VIEWER | {"kind": "both"}, "/kind"),
    (VIEWER | {"expires_in_days": 0}, "/expires_in_days"),
    (VIEWER | {"expires_in_days": 366}, "/expires_in_days"),
    (VIEWER | {"workspace": "team"}, "/workspace"),
    ([], ""),
]
ROTATIONS = [
    ({"overlap_hours": -1}, "/overlap_hours"),
    ({"overlap_hours": 8761}, "/overlap_hours"),
    ({"overlap_hours": 0.5}, "/overlap_hours"),
    ({"overlap": 1}, "/overlap"),
]
READ = ["/keys", "/secrets", "/runs", "/audit?action=a", "/runs/unknown"]
# On the other side of each bound.
TAKEN: list[dict[str, Any]] = [
    {"name": "n" * 100},
    {"expires_in_days": 1},
    {"expires_in_days": 365},
]


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def keys(admin: Relay) -> list[Any]:
    listed: list[Any] = (await admin.get("/keys")).json()["keys"]
    return [{**key, "last_used_at": None} for key in listed]


async def own(admin: Relay) -> str:
    """The id of the key that asks."""
    return str((await keys(admin))[-1]["id"])


async def test_what_no_key_can_be_is_refused(admin: Relay) -> None:
    """By the member that is wrong, where that is known."""
    before = await keys(admin)
    rotate = f"/keys/{await own(admin)}/rotate"
    asked = [("/keys", *row) for row in KEYS] + [(rotate, *row) for row in ROTATIONS]
    for path, body, pointer in asked:
        response = await admin.post(path, json=body)
        assert problem(response) == (400, "invalid_request"), body
        errors = response.json().get("errors", [{"pointer": None}])
        assert [error["pointer"] for error in errors] == [pointer], body
    assert (await admin.post("/keys", content=b"{}")).status_code == 415
    assert await keys(admin) == before
    for wanted in TAKEN:
        await made(admin, **wanted)


async def test_no_member_is_there_twice(admin: Relay) -> None:
    """However it is written; otherwise this check and that of a proxy could see two values."""
    before = await keys(admin)
    rotate = f"/keys/{await own(admin)}/rotate"
    viewer = b'"name": "CI", "role": "viewer"'
    asked = [
        ("/keys", b'{%s, "role": "admin"}' % viewer, "/role"),
        ("/keys", b'{"kind": "test", %s, "k\\u0069nd": "live"}' % viewer, "/kind"),
        ("/keys", b'{%s, "scopes": null, "scopes": null}' % viewer, "/scopes"),
        ("/keys", b'{%s, "scopes": [{"a": 1, "a": 1}]}' % viewer, "/scopes/0"),
        (rotate, b'{"overlap_hours": 1, "overlap_hours": 2}', "/overlap_hours"),
        ("/secrets", b'{"a": 1, "a": 1}', "/a"),
    ]
    for path, body, pointer in asked:
        response = await admin.post(path, content=body, headers=JSON)
        assert problem(response) == (400, "invalid_request"), body
        [error] = response.json()["errors"]
        assert error["pointer"] == pointer, body
    assert await keys(admin) == before
    assert (await admin.post("/keys", content=b"{%s}" % viewer, headers=JSON)).status_code == 201


async def test_a_key_grants_only_what_it_has(admin: Relay) -> None:
    """Neither by a new key nor by rotating one that may do more."""
    narrow = await made(admin, "admin", scopes=["keys:manage"])
    operator = (await made(admin, "operator"))["key"]["id"]
    before = await keys(admin)
    principal = {"Authorization": f"Bearer {narrow['secret']}"}
    for path, body in (("/keys", VIEWER), (f"/keys/{operator}/rotate", {})):
        response = await admin.post(path, json=body, headers=principal)
        assert problem(response) == (403, "forbidden")
    assert await keys(admin) == before


async def test_a_test_key_makes_test_keys(admin: Relay) -> None:
    tester = await made(admin, "admin", kind="test")
    admin.headers["Authorization"] = f"Bearer {tester['secret']}"
    assert problem(await admin.post("/keys", json=VIEWER)) == (403, "forbidden")
    await made(admin, kind="test")


async def test_the_last_admin_is_kept(admin: Relay) -> None:
    """Until there is another."""
    own_id = await own(admin)
    assert problem(await admin.delete(f"/keys/{own_id}")) == (409, "last_admin_kept")
    assert (await seen(admin, own_id))["revoked_at"] is None
    await made(admin, "admin")
    assert (await admin.delete(f"/keys/{own_id}")).status_code == 200
    assert (await admin.get("/keys")).status_code == 401


async def test_a_key_that_is_over_is_not_rotated(admin: Relay) -> None:
    key_id = (await made(admin))["key"]["id"]
    await admin.delete(f"/keys/{key_id}")
    before = await keys(admin)
    assert problem(await admin.post(f"/keys/{key_id}/rotate", json={})) == (409, "key_ended")
    assert await keys(admin) == before


async def test_a_chain_that_is_broken_stops_changes(admin: Relay, database: Database) -> None:
    """What could not be audited is not made."""
    before = await keys(admin)
    async with database.begin() as connection:
        await connection.execute("UPDATE audit_heads SET seq = seq + 1")
    response = await admin.post("/keys", json=VIEWER)
    assert problem(response) == (503, "store_unavailable")
    assert "relay audit verify" in response.json()["detail"]
    assert await keys(admin) == before


async def test_a_database_that_is_away_is_no_mystery(
    valkey: Valkey, postgres: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    """Keys are known still, a reading may be repeated, a change is to be looked for first."""
    async with AsyncExitStack() as line, open_database(postgres_url, tmp_path) as database:
        way = (await line.enter_async_context(proxy(postgres))).url(postgres_url)
        url = Secret(way.encode())
        async with administered(valkey, database, tmp_path, database_url=url) as admin:
            for path in READ[:-1]:
                assert (await admin.get(path)).status_code == 200, path
            # PostgreSQL could not even be asked for this one.
            assert problem(await admin.delete("/keys/abc%00efgh")) == (404, "key_not_found")
            await line.aclose()
            for path in READ:
                refusal = await admin.get(path)
                assert problem(refusal) == (503, "store_unavailable"), path
                assert "The database does not answer" in refusal.json()["detail"]
                assert refusal.json()["safe_to_retry"] is True
            for path, body in (("/keys", VIEWER), ("/secrets", {})):
                refusal = await admin.post(path, json=body)
                assert refusal.json()["safe_to_retry"] is False
                assert f"check GET {path} before" in refusal.json()["detail"]
            assert (await admin.get("/actions")).status_code == 200
