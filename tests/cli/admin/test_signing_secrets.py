"""`relay secrets`: shown once, sealed in the database, sealed anew under another key."""

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer, key_id
from gateway.config.parsers import signing_key
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from stores.sql.database import open_database
from tests.support.commanded import Typed, typed
from tests.support.services import audited

OLD, NEW = b"o" * 32, b"n" * 32


def key_text(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


def under(folder: Path, *keys: bytes) -> Typed:
    return Typed(folder, RELAY_ENCRYPTION_KEY=key_text(*keys))


@pytest.fixture
def relay(migrated_file: str, tmp_path: Path) -> Typed:
    return typed(migrated_file, tmp_path, RELAY_ENCRYPTION_KEY=key_text(OLD))


def signing(folder: Path, key: bytes) -> list[bytes]:
    """What a gateway with this encryption key signs with."""

    async def read() -> list[bytes]:
        async with LazyDatabase(Settings(data_dir=folder)) as database:
            key_cache = KeyCache(database.existing, Sealer((key,)))
            await key_cache.refresh()
        return list(key_cache.secrets("default"))

    return asyncio.run(read())


def test_stdout_has_only_the_secret(relay: Typed) -> None:
    """As Standard Webhooks writes it, 32 bytes; a gateway signs with it."""
    done = relay.well("secrets", "create")
    text = done.stdout.removesuffix("\n")
    assert text.startswith("whsec_")
    assert len(signing_key(text)) == 32
    assert re.fullmatch(
        r"Signing secret \S+ of the workspace default. It is shown this once, and kept sealed:\n",
        done.stderr,
    )
    assert signing(relay.folder, OLD) == [signing_key(text)]
    for file in relay.folder.iterdir():
        assert signing_key(text) not in file.read_bytes()


def test_after_a_rotation_both_sign_for_a_day(relay: Typed) -> None:
    old, new = relay.json("secrets", "create"), relay.json("secrets", "create")
    both = [signing_key(new["secret"]), signing_key(old["secret"])]
    assert signing(relay.folder, OLD) == both
    listed: list[dict[str, Any]] = relay.json("secrets", "list")["secrets"]
    assert [one["id"] for one in listed] == [new["id"], old["id"]]
    assert listed[0]["retires_at"] is None
    assert listed[1]["retires_at"][11:] == listed[0]["created_at"][11:]
    assert listed[1]["retires_at"] > listed[0]["created_at"]
    assert {one["state"] for one in listed} == {"active"}
    table = relay.well("secrets", "list").stdout
    assert new["id"] in table
    assert new["secret"] not in table


def test_secrets_are_sealed_anew_under_the_first_key(relay: Typed) -> None:
    """Then the old key can go."""
    made = relay.json("secrets", "create")
    both = under(relay.folder, NEW, OLD)
    assert both.well("secrets", "reseal").stdout == "1 secrets were sealed under another key.\n"
    assert signing(relay.folder, NEW) == [signing_key(made["secret"])]
    (listed,) = both.json("secrets", "list")["secrets"]
    assert listed["sealed_with"] == key_id(NEW)
    assert both.well("secrets", "reseal").stdout == "Nothing to do.\n"


def test_a_secret_whose_key_is_lost_is_named(relay: Typed) -> None:
    made = relay.json("secrets", "create")
    said = under(relay.folder, NEW).declined("secrets", "reseal")
    assert said.startswith(f"The secret {made['id']} cannot be unsealed: it was sealed with")
    assert signing(relay.folder, OLD)


def test_the_audit_records_the_creator_of_a_secret(relay: Typed) -> None:
    made = relay.json("secrets", "create")

    async def entries() -> list[tuple[str, str, str, str]]:
        async with open_database(None, relay.folder) as database:
            found = await audited(database)
            return [(e.event, e.principal, e.subject, e.detail) for e in found]

    detail = f"sealed with {key_id(OLD)}"
    assert asyncio.run(entries()) == [("secret.created", "cli", made["id"], detail)]


@pytest.mark.parametrize("word", ["create", "list"])
def test_an_unknown_workspace_is_one_line(relay: Typed, word: str) -> None:
    said = relay.declined("secrets", word, "--workspace", "team")
    assert said == "There is no workspace 'team'."


def test_production_without_an_encryption_key_makes_none(relay: Typed) -> None:
    production = Typed(
        relay.folder,
        RELAY_ENV="production",
        REDIS_URL="redis://127.0.0.1:1",
        DATABASE_URL=f"sqlite:///{relay.folder}/relay.db",
        RELAY_KEY_PEPPER="p" * 32,
        RELAY_AUDIT_KEY="a" * 32,
    )
    assert production.declined("secrets", "create") == "RELAY_ENCRYPTION_KEY is not set."
    assert production.json("keys", "list") == {"keys": []}
