"""A gateway with one key in its database, an admin's, and what is asked of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from gateway.config.secret import Secret
from stores.sql.database import Database
from tests.support.gateways import Relay, gateway
from tests.support.services import AUDIT_KEY, ENCRYPTION_KEY, PEPPER, services
from tests.support.valkey import Valkey

HELD = {"key_peppers": PEPPER, "audit_keys": AUDIT_KEY, "encryption_keys": ENCRYPTION_KEY}


@asynccontextmanager
async def administered(
    valkey: Valkey, database: Database, data_dir: Path, **settings: Any
) -> AsyncIterator[Relay]:
    """A client with that key. `data_dir`: where the database is."""
    key = (await services(database).key("root", "admin")).secret
    held = {name: (Secret(key),) for name, key in HELD.items()}
    async with gateway(valkey.url, **{"data_dir": data_dir, **held, **settings}) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


async def made(admin: Relay, role: str = "viewer", **wanted: Any) -> Any:
    response = await admin.post("/keys", json={"name": "CI", "role": role, **wanted})
    assert response.status_code == 201, response.text
    return response.json()


async def seen(admin: Relay, key_id: str) -> Any:
    keys = (await admin.get("/keys")).json()["keys"]
    return next(key for key in keys if key["id"] == key_id)


async def asks(client: Relay, secret: str, path: str = "/runs") -> int:
    response = await client.get(path, headers={"Authorization": f"Bearer {secret}"})
    return response.status_code


def problem(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]
