"""A gateway whose pepper is another's takes no traffic: it would refuse everybody."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.access.api_keys import pepper_id
from gateway.config.secret import Secret
from tests.support.gateways import gateway
from tests.support.keyed import AUDIT_KEY, ENCRYPTION_KEY, PEPPER, Keyed, keyed_gateway
from tests.support.valkey import Valkey

OTHER = b"q" * 32
NEITHER = b"r" * 32
READ = {"verdict": "ok", "detail": "the keys are read"}


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    """With one key, made with PEPPER, in a database for which others are opened."""
    async with keyed_gateway(valkey.url, tmp_path) as opened:
        yield opened


async def says(valkey: Valkey, folder: Path, peppers: Sequence[bytes]) -> dict[str, Any]:
    """Of the keys, what a gateway with these says at /ready; with its status."""
    held = {
        "key_peppers": tuple(map(Secret, peppers)),
        "audit_keys": (Secret(AUDIT_KEY),),
        "encryption_keys": (Secret(ENCRYPTION_KEY),),
    }
    async with gateway(valkey.url, data_dir=folder, **held) as relay:
        answer = await relay.get("/ready")
    [keys] = [check for check in answer.json()["checks"] if check["name"] == "keys"]
    return {**keys, "status": answer.status_code}


async def mark(keyed: Keyed, pepper_id: str | None) -> None:
    async with (await keyed.state["database"].open()).begin() as connection:
        await connection.execute("UPDATE api_keys SET peppered_with = $1", pepper_id)


async def test_a_gateway_with_another_pepper_is_not_ready(
    valkey: Valkey, tmp_path: Path, keyed: Keyed
) -> None:
    """And says which setting it is; one that has it among others is."""
    wrong = await says(valkey, tmp_path, [OTHER])
    assert (wrong["status"], wrong["verdict"]) == (503, "failed")
    assert "RELAY_KEY_PEPPER" in wrong["detail"]
    assert await says(valkey, tmp_path, [OTHER, PEPPER]) == READ | {"name": "keys", "status": 200}


async def test_a_pepper_that_some_keys_need_is_missed(
    valkey: Valkey, tmp_path: Path, keyed: Keyed
) -> None:
    """It was dropped, on purpose or too soon: the gateway serves the others, and says so."""
    await keyed.key("viewer")
    async with (await keyed.state["database"].open()).begin() as connection:
        some = "UPDATE api_keys SET peppered_with = $1 WHERE role = 'viewer'"
        await connection.execute(some, pepper_id(OTHER))
    lacking = await says(valkey, tmp_path, [PEPPER, NEITHER])
    assert (lacking["status"], lacking["verdict"]) == (200, "ok")
    assert "unknown pepper" in lacking["detail"]


async def test_an_unreadable_pepper_is_reported(
    valkey: Valkey, tmp_path: Path, keyed: Keyed
) -> None:
    """In development it is in a file, which may be spoilt."""
    (tmp_path / "local-keys.json").write_text("spoilt")
    spoilt = await says(valkey, tmp_path, [])
    assert (spoilt["status"], spoilt["verdict"]) == (503, "failed")
    assert str(tmp_path) not in spoilt["detail"]


async def test_the_pepper_of_an_older_key_is_unknown(
    valkey: Valkey, tmp_path: Path, keyed: Keyed
) -> None:
    """Made when its pepper was not kept: that is no reason to stop."""
    await mark(keyed, None)
    assert (await says(valkey, tmp_path, [OTHER]))["status"] == 200
