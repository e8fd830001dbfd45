"""`relay connections`: the secret comes from standard input, and is never printed."""

import json
from pathlib import Path

import pytest

from tests.support.commanded import Typed, typed

CANARY = "canary-a1b2"


@pytest.fixture
def relay(migrated_file: str, tmp_path: Path) -> Typed:
    return typed(migrated_file, tmp_path)


def test_a_connection_is_added_listed_shown_and_deleted(relay: Typed) -> None:
    add = ("connections", "add", "crm", "crm.example.com", "API.example.com")
    made = relay.json(*add, stdin=f"{CANARY}\n")
    assert relay.json("connections", "list") == {"connections": [made]}
    shown = relay.well("connections", "show", made["id"])
    assert json.loads(shown.stdout) == made
    assert made["hosts"] == ["https://api.example.com", "https://crm.example.com"]
    assert (made["kind"], made["created_by"]) == ("bearer", "cli")
    table = relay.well("connections", "list")
    assert "crm" in table.stdout
    assert CANARY not in repr((made, shown.output, table.output))
    relay.well("connections", "delete", made["id"])
    assert relay.json("connections", "list") == {"connections": []}
    declined = relay.declined("connections", "delete", made["id"])
    assert declined == "The workspace has no connection with this id."


@pytest.mark.parametrize(
    ("options", "kind", "header", "account"),
    [
        ((), "bearer", "Authorization", "crm"),
        (("--user", "ann"), "basic", "Authorization", "ann"),
        (("--header", "X-Api-Key"), "header", "X-Api-Key", "crm"),
    ],
)
def test_each_kind_has_its_option(
    relay: Typed, options: tuple[str, ...], kind: str, header: str, account: str
) -> None:
    made = relay.json("connections", "add", "crm", "crm.example.com", *options, stdin=CANARY)
    assert (made["kind"], made["header"], made["account"]) == (kind, header, account)


def test_two_kinds_at_once_are_refused(relay: Typed) -> None:
    options = ("--user", "ann", "--header", "X-Key")
    refused = relay("connections", "add", "crm", "crm.example.com", *options, stdin=CANARY)
    assert refused.exit_code == 2
    assert "exclude each other" in refused.stderr


@pytest.mark.parametrize("given", ["", "\n", f"{CANARY}\nand more"])
def test_what_is_no_secret_is_refused(relay: Typed, given: str) -> None:
    """Without repeating it."""
    declined = relay.declined("connections", "add", "crm", "crm.example.com", stdin=given)
    assert CANARY not in declined
    assert relay.json("connections", "list") == {"connections": []}


def test_a_forbidden_host_is_refused(relay: Typed) -> None:
    declined = relay.declined("connections", "add", "crm", "169.254.169.254", stdin=CANARY)
    assert declined == "The target is not a public address."
