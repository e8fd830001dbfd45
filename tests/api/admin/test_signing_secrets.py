"""Signing secrets over HTTP: shown once, sealed, the older one for a day more."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.parsers import signing_key
from stores.sql.database import Database, open_database
from tests.support.administered import administered, problem
from tests.support.gateways import Relay
from tests.support.services import audited, services
from tests.support.valkey import Valkey


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        yield opened


async def test_a_secret_is_shown_once(admin: Relay, database: Database) -> None:
    """The list tells when and by whom it was made; the audit, too."""
    response = await admin.post("/secrets", json={})
    answer = response.json()
    assert response.status_code == 201
    assert answer.keys() == {"id", "secret", "request_id"}
    assert len(signing_key(answer["secret"])) == 32
    listing = await admin.get("/secrets")
    (listed,) = listing.json()["secrets"]
    assert listed.keys() == {"id", "created_at", "created_by", "retires_at"}
    (root,) = await services(database).keys.list_keys("default")
    assert (listed["id"], listed["retires_at"]) == (answer["id"], None)
    assert listed["created_by"] == root.id
    assert answer["secret"].removeprefix("whsec_") not in listing.text
    entry = (await audited(database))[-1]
    assert (entry.event, entry.subject) == ("secret.created", answer["id"])
    assert (entry.principal, entry.request_id) == (root.id, answer["request_id"])


async def test_the_older_secret_signs_for_a_day_more(admin: Relay) -> None:
    ids = [(await admin.post("/secrets", json={})).json()["id"] for _ in range(2)]
    newer, older = (await admin.get("/secrets")).json()["secrets"]
    assert [older["id"], newer["id"]] == ids
    assert newer["retires_at"] is None
    made, ends = (datetime.fromisoformat(at) for at in (newer["created_at"], older["retires_at"]))
    assert ends - made == timedelta(days=1)


async def test_a_secret_cannot_be_brought(admin: Relay) -> None:
    """Relay makes it; nothing is taken from the body."""
    response = await admin.post("/secrets", json={"secret": "whsec_" + "A" * 44})
    assert problem(response) == (400, "invalid_request")
    assert (await admin.get("/secrets")).json()["secrets"] == []


async def test_without_an_encryption_key_no_secret_is_created(
    valkey: Valkey, database: Database, tmp_path: Path
) -> None:
    """Production makes no key of its own."""
    production = {"env": "production", "encryption_keys": ()}
    async with administered(valkey, database, tmp_path, **production) as admin:
        response = await admin.post("/secrets", json={})
        assert problem(response) == (501, "encryption_not_configured")
        assert "RELAY_ENCRYPTION_KEY" in response.json()["detail"]
        assert (await admin.get("/secrets")).json()["secrets"] == []
