"""Connections over HTTP: entered by an administrator, shown without their secret, deleted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stores.sql.database import Database, open_database
from tests.support.administered import made, problem
from tests.support.gateways import Relay

CANARY = "canary-51c0"
CRM = {"label": "crm", "kind": "bearer", "secret": CANARY, "hosts": ["crm.example.com"]}


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def created(admin: Relay, **changes: object) -> dict[str, Any]:
    response = await admin.post("/connections", json={**CRM, **changes})
    assert response.status_code == 201, response.text
    assert CANARY not in response.text
    return dict(response.json())


async def test_a_connection_is_created_shown_and_deleted(admin: Relay) -> None:
    one = await created(admin)
    assert one.pop("request_id")
    assert one.pop("created_by")
    assert one.pop("created_at").endswith("Z")
    assert one == {
        "id": one["id"],
        "provider": "static",
        "kind": "bearer",
        "label": "crm",
        "account": "crm",
        "tenant": None,
        "scopes": [],
        "header": "Authorization",
        "hosts": ["https://crm.example.com"],
        "state": "active",
        "refreshed_at": None,
        "used_at": None,
    }
    shown = (await admin.get(f"/connections/{one['id']}")).json()
    [listed] = (await admin.get("/connections")).json()["connections"]
    assert {**shown, **one} == shown
    assert {**listed, **one} == listed
    gone = await admin.delete(f"/connections/{one['id']}")
    assert (gone.status_code, gone.json()["label"]) == (200, "crm")
    assert (await admin.get("/connections")).json()["connections"] == []
    for ask in (admin.get, admin.delete):
        assert problem(await ask(f"/connections/{one['id']}")) == (404, "connection_not_found")


async def test_the_providers_are_listed_with_what_is_configured(admin: Relay) -> None:
    providers = (await admin.get("/connections")).json()["providers"]
    assert providers == [
        {"name": name, "enabled": False} for name in ("google", "microsoft", "slack", "github")
    ]


async def test_a_label_is_taken_once(admin: Relay) -> None:
    await created(admin)
    assert problem(await admin.post("/connections", json=CRM)) == (409, "connection_exists")
    await created(admin, label="CRM")


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "localhost"])
async def test_the_guard_refuses_a_host(admin: Relay, host: str) -> None:
    refused = await admin.post("/connections", json={**CRM, "hosts": [host]})
    assert problem(refused) == (422, "target_forbidden")
    assert (await admin.get("/connections")).json()["connections"] == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"secret": f"{CANARY}\r\nX-Evil: 1"}, "/secret"),
        ({"secret": [CANARY]}, "/secret"),
        ({"kind": "query"}, "/kind"),
        ({"kind": "header", "header": "Host"}, "/header"),
        ({"hosts": ["crm.example.com/path"]}, "/hosts/0"),
        ({"hosts": []}, "/hosts"),
        ({"token": CANARY}, "/token"),
    ],
)
async def test_a_refusal_names_the_member_and_no_secret(
    admin: Relay, changes: dict[str, object], pointer: str
) -> None:
    refused = await admin.post("/connections", json={**CRM, **changes})
    assert problem(refused) == (400, "invalid_request")
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert CANARY not in refused.text


@pytest.mark.parametrize(
    ("role", "statuses"),
    [("viewer", [200, 403, 403]), ("auditor", [403, 403, 403]), ("admin", [200, 201, 200])],
)
async def test_only_an_administrator_changes_connections(
    admin: Relay, role: str, statuses: list[int]
) -> None:
    connection_id = (await created(admin))["id"]
    key = (await made(admin, role))["secret"]
    admin.headers["Authorization"] = f"Bearer {key}"
    answers = [
        await admin.get("/connections"),
        await admin.post("/connections", json={**CRM, "label": "other"}),
        await admin.delete(f"/connections/{connection_id}"),
    ]
    assert [answer.status_code for answer in answers] == statuses


async def test_an_administrator_with_a_test_key_creates_none(admin: Relay) -> None:
    key = (await made(admin, "admin", kind="test"))["secret"]
    refused = await admin.post("/connections", json=CRM, headers={"Authorization": f"Bearer {key}"})
    assert problem(refused) == (403, "forbidden")
