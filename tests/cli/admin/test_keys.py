"""`relay keys`: the key once, and everything else as often as one likes."""

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.access.api_keys import parse
from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer
from gateway.config.local_keys import FILE
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from stores.sql.database import open_database
from tests.support.commanded import Typed, typed
from tests.support.services import audited

CREATE = "keys", "create", "--name", "CI", "--role", "operator"


@pytest.fixture
def relay(migrated_file: str, tmp_path: Path) -> Typed:
    return typed(migrated_file, tmp_path)


def test_stdout_has_only_the_key(relay: Typed) -> None:
    """`KEY=$(relay keys create …)` works; stderr says that the key is shown once."""
    done = relay.well(*CREATE)
    key = parse(done.stdout.removesuffix("\n"))
    assert key
    assert re.fullmatch(
        rf"Key {key.id} \(live operator\) of the workspace default expires \S+\. "
        r"It is shown only this once:\n",
        done.stderr,
    )
    for file in relay.folder.iterdir():
        assert key.text.encode() not in file.read_bytes()


def test_json_has_the_key_as_its_secret(relay: Typed) -> None:
    made = relay.json(*CREATE, "--test", "--scope", "runs:read", "--expires", "12h")
    assert parse(made.pop("secret"))
    created = datetime.fromisoformat(made["created_at"])
    assert datetime.fromisoformat(made["expires_at"]) - created == timedelta(hours=12)
    assert (made["kind"], made["role"], made["scopes"]) == ("test", "operator", ["runs:read"])
    assert (made["name"], made["workspace"], made["created_by"]) == ("CI", "default", "cli")
    assert relay.json("keys", "list") == {"keys": [made]}


def test_a_key_lasts_ninety_days_by_default(relay: Typed) -> None:
    made = relay.json(*CREATE)
    created = datetime.fromisoformat(made["created_at"])
    assert datetime.fromisoformat(made["expires_at"]) - created == timedelta(days=90)


def test_a_list_shows_what_became_of_each_key(relay: Typed) -> None:
    """The newest first, ids whole, and never a secret or a digest."""
    made = [relay.json(*CREATE) for _ in range(3)]
    relay.well("keys", "revoke", made[0]["id"])
    new = relay.json("keys", "rotate", made[1]["id"])
    relay.json("keys", "rotate", made[2]["id"], "--overlap", "0s")
    listed = {key["id"]: key for key in relay.json("keys", "list")["keys"]}
    states = [listed[key["id"]]["state"] for key in made]
    assert states == ["revoked", "replaced", "expired"]
    assert listed[new["id"]]["state"] == "active"
    assert listed[made[1]["id"]]["replaced_by"] == new["id"]
    table = relay.well("keys", "list").stdout
    assert all(key_id in table for key_id in listed)
    assert all(state in table for state in ("revoked", "replaced", "expired", "active"))
    assert not any(key["secret"] in table for key in (*made, new))


def test_a_name_is_not_read_as_markup(relay: Typed) -> None:
    relay.json("keys", "create", "--name", "[red]", "--role", "viewer")
    assert "[red]" in relay.well("keys", "list").stdout


def test_an_id_can_be_copied_from_a_narrow_table(relay: Typed) -> None:
    """A long name takes more lines, not more room."""
    made = relay.json("keys", "create", "--name", "n" * 100, "--role", "developer")
    table = Typed(relay.folder, COLUMNS="70").well("keys", "list").stdout
    assert made["id"] in table
    assert made["expires_at"][:10] in table


def test_an_empty_list_says_so(relay: Typed) -> None:
    done = relay.well("keys", "list")
    assert (done.stdout, done.stderr) == ("", "No keys.\n")
    assert relay.json("keys", "list") == {"keys": []}


def test_a_rotated_key_is_printed_like_a_new_one(relay: Typed) -> None:
    old = relay.json(*CREATE)
    done = relay.well("keys", "rotate", old["id"])
    key = parse(done.stdout.removesuffix("\n"))
    assert key
    assert key.id != old["id"]
    assert "shown only this once" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "revoke", "abcdefgh"), "The workspace 'default' has no key with this id."),
        (("keys", "rotate", "abcdefgh"), "The workspace 'default' has no key with this id."),
        (("keys", "list", "--workspace", "team"), "There is no workspace 'team'."),
        ((*CREATE, "--workspace", "team"), "There is no workspace 'team'."),
        ((*CREATE, "--expires", "366d"), "A key expires at most 365 days from now."),
        ((*CREATE, "--scope", "keys:manage"), "A live key with the role operator can have some of"),
    ],
)
def test_what_is_declined_is_one_line(relay: Typed, words: tuple[str, ...], said: str) -> None:
    assert relay.declined(*words).startswith(said)


def test_the_last_admin_is_kept(relay: Typed) -> None:
    admin = relay.json("keys", "create", "--name", "me", "--role", "admin")
    assert "last key that can manage keys" in relay.declined("keys", "revoke", admin["id"])


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--role", "root", "'root' is not one of"),
        ("--scope", "all", "'all' is not one of"),
        ("--expires", "soon", "is not a duration like 15m"),
        ("--expires", "9999999d", "is out of range"),
        ("--expires", "-1d", "is not a duration"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    relay: Typed, option: str, value: str, said: str
) -> None:
    done = relay(*CREATE, option, value)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_the_audit_has_every_change(relay: Typed) -> None:
    key = relay.json(*CREATE)["id"]
    relay.json("keys", "rotate", key)
    relay.well("keys", "revoke", key)

    async def entries() -> list[tuple[str, str, str]]:
        async with open_database(None, relay.folder) as database:
            found = await audited(database)
            return [(entry.event, entry.principal, entry.subject) for entry in found]

    events = "key.created", "key.rotated", "key.revoked"
    assert asyncio.run(entries()) == [(event, "cli", key) for event in events]


def test_a_first_key_needs_nothing_before_it(tmp_path: Path) -> None:
    """In development: the folder, the database and the keys under which it is kept are made. A
    gateway knows the key then.
    """
    folder = tmp_path / "new" / "data"
    lines = "from gateway.cli.admin.keys import keys; keys()"
    done = subprocess.run(
        [sys.executable, "-c", lines, *CREATE[1:], "--json"],
        env={**os.environ, "RELAY_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    made = json.loads(done.stdout)
    assert done.stderr == ""
    assert {FILE, "relay.db"} <= set(os.listdir(folder))  # noqa: PTH208

    async def known() -> bool:
        async with LazyDatabase(Settings(data_dir=folder)) as database:
            key_cache = KeyCache(database.existing, Sealer(()))
            await key_cache.refresh()
        return key_cache.find(made["id"]) is not None

    assert asyncio.run(known())


def test_production_makes_no_database(tmp_path: Path) -> None:
    relay = Typed(tmp_path, RELAY_ENV="production")
    assert "is not set; with RELAY_ENV=production" in relay.declined("keys", "list")
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_an_outdated_database_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "relay.db").touch()
    assert "run `relay migrate`" in Typed(tmp_path).declined("keys", "list")


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    relay = Typed(tmp_path, RELAY_KEY_PEPPER="hunter2")
    said = relay.declined("keys", "list")
    assert said.startswith("RELAY_KEY_PEPPER is a secret; it may hold")
    assert "hunter2" not in said


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in Typed(tmp_path / "file" / "data").declined("keys", "list")
