"""A gateway that serves, ships and administers loads neither SQLAlchemy nor Alembic (22 MB), and
joserfc only where an issuer is set (8 MB).
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import client, gateway_process, until
from tests.support.issuer import AUDIENCE, HEADER, issuing
from tests.support.target import Target
from tests.support.valkey import Valkey

UNUSABLE = "raise ImportError('this gateway was to do without it')\n"


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment in which none of them can be imported."""
    for name in ("sqlalchemy", "alembic", "joserfc"):
        (tmp_path / f"{name}.py").write_text(UNUSABLE)
    return {"PYTHONPATH": str(tmp_path)}


async def test_a_gateway_serves_without_sqlalchemy(
    valkey: Valkey, database_url: str, target: Target, without: dict[str, str]
) -> None:
    """On both databases: keys, an execution, its audit, and runs."""
    env = {"REDIS_URL": valkey.url, "DATABASE_URL": database_url, **without}
    with gateway_process(env) as process:
        async with client(process.url) as relay:
            wanted = {"name": "root", "role": "admin"}
            key: Any = (await relay.post("/keys", json=wanted)).json()
            relay.headers["Authorization"] = f"Bearer {key['secret']}"
            done = await relay.execute(await relay.preview_id(target.url))
            assert done.json()["status"] == "success"

            async def shipped() -> bool:
                listed = (await relay.get("/audit?event=run.ended")).json()
                return len(listed["entries"]) == 1

            await until(shipped)
            [run] = (await relay.get("/runs")).json()["runs"]
            assert run["run_id"] == done.json()["run_id"]
            assert (await relay.delete(f"/keys/{key['key']['id']}")).status_code == 409
            assert (await relay.post("/secrets", json={})).status_code in (201, 501)


async def test_migrations_need_sqlalchemy(tmp_path: Path, without: dict[str, str]) -> None:
    """The control: in that environment they fail."""
    migrating = [sys.executable, "-m", "stores.sql.migrate", str(tmp_path)]
    done = await asyncio.to_thread(
        subprocess.run, migrating, env=without, capture_output=True, text=True
    )
    assert "was to do without it" in done.stderr


@pytest.mark.parametrize(("has_it", "status"), [(True, 200), (False, 500)])
async def test_an_issuer_needs_joserfc(
    valkey: Valkey, without: dict[str, str], has_it: bool, status: int
) -> None:
    """The control: in that environment no assertion can be verified."""
    async with issuing() as issuer:
        env = {
            "REDIS_URL": valkey.url,
            "RELAY_OIDC_ISSUER": issuer.url,
            "RELAY_OIDC_AUDIENCE": AUDIENCE,
            "RELAY_OIDC_HEADER": HEADER,
            "RELAY_OIDC_WORKSPACE": "default",
            "RELAY_OIDC_ROLES": "staff=viewer, approvers=approver",
        }
        with gateway_process(env if has_it else {**env, **without}) as process:
            async with client(process.url) as relay:

                async def answered() -> bool:
                    answer = await relay.get("/session", headers=issuer.headers())
                    return len(issuer.deliveries) >= 2 and answer.status_code == status

                await until(answered)
