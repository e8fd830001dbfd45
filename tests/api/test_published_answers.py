"""What administration and history answer is as the OpenAPI document says."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from stores.audit.chain import Chain
from stores.sql.database import Database, open_database
from tests.api.test_openapi import Published
from tests.support.administered import administered
from tests.support.chains import ended, intended
from tests.support.gateways import Relay
from tests.support.services import AUDIT_KEY
from tests.support.valkey import Valkey


@pytest.fixture
async def database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url, tmp_path) as opened:
        entries = [("1", intended("r-1")), ("2", ended("r-1")), ("3", intended("r-2"))]
        async with opened.begin() as connection:
            await Chain([AUDIT_KEY]).append(connection, "default", entries)
        yield opened


@pytest.fixture
async def admin(valkey: Valkey, database: Database, tmp_path: Path) -> AsyncIterator[Relay]:
    async with administered(valkey, database, tmp_path) as client:
        yield client


async def test_live_answers_are_as_published(admin: Relay) -> None:
    """Every member is described and every required one is there, for each kind of answer."""
    key = await admin.post("/keys", json={"name": "CI", "role": "viewer"})
    path = f"/keys/{key.json()['key']['id']}"
    answers = [
        ("post", "/keys", key),
        ("post", "/keys/{key_id}/rotate", await admin.post(f"{path}/rotate", json={})),
        ("delete", "/keys/{key_id}", await admin.delete(path)),
        ("get", "/keys", await admin.get("/keys")),
        ("post", "/secrets", await admin.post("/secrets", json={})),
        ("get", "/secrets", await admin.get("/secrets")),
        ("get", "/runs", await admin.get("/runs?limit=1")),
        ("get", "/runs/{run_id}", await admin.get("/runs/r-1")),
        ("get", "/audit", await admin.get("/audit")),
    ]
    published = Published(msgspec.json.decode(document(ENDPOINTS)))
    for method, route, response in answers:
        schema = published.of(method, route, response.status_code)
        assert list(published.wrong(response.json(), schema)) == [], route
        assert response.headers["cache-control"] == "no-store"
    for method, route, name in (("get", "/runs", "runs"), ("get", "/audit", "entries")):
        [listed] = [one for verb, path, one in answers if (verb, path) == (method, route)]
        assert listed.json()[name]
