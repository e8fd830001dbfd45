"""How `relay keys` takes the name of a key, and what it shows of them where there is no room."""

import re
from pathlib import Path

import pytest

from gateway.access.api_keys import make
from tests.support.commanded import Typed, typed

CREATE = "keys", "create", "--name", "CI", "--role"


@pytest.fixture
def relay(migrated_file: str, tmp_path: Path) -> Typed:
    return typed(migrated_file, tmp_path)


def states(relay: Typed) -> dict[str, str]:
    return {key["id"]: key["state"] for key in relay.json("keys", "list")["keys"]}


@pytest.mark.parametrize(("word", "state"), [("revoke", "revoked"), ("rotate", "replaced")])
def test_a_whole_key_is_its_id(relay: Typed, word: str, state: str) -> None:
    """Pasted as it was found, it is not printed once more."""
    made = relay.json(*CREATE, "viewer")
    done = relay.well("keys", word, f" {made['secret']}\n")
    assert states(relay)[made["id"]] == state
    assert made["secret"] not in done.output


@pytest.mark.parametrize("word", ["revoke", "rotate"])
def test_a_whole_key_that_nobody_has_is_not_repeated(relay: Typed, word: str) -> None:
    key = make(live=True)
    said = relay.declined("keys", word, key.text)
    assert said == "The workspace 'default' has no key with this id."


KEY = make(live=True).text
NO_IDS = [
    KEY[:-1],
    KEY + "0",
    KEY[:-1] + "-",
    KEY[9:],
    KEY[4:],
    KEY.lower(),
    "abcdefg",
    "abcdefghi",
]
NO_IDS += ["", "\udcff", "abcdefg\udcff", "abcdefg\0", "abcdefgé", "abcdef/h", "٣" * 8]


@pytest.mark.parametrize("word", ["revoke", "rotate"])
def test_what_is_no_name_of_a_key_is_a_usage_error(relay: Typed, word: str) -> None:
    """In which it is not repeated: it may be a key with a letter too few."""
    for text in NO_IDS:
        done = relay("keys", word, text)
        said = " ".join(done.stderr.split())
        assert done.exit_code == 2, text
        assert said.endswith("it is neither the id of a key (8 letters and digits) nor a key."), (
            text
        )
        assert not text or text not in said


def test_a_workspace_is_named_where_its_key_is_not_found(relay: Typed) -> None:
    relay.well("workspaces", "create", "team")
    made = relay.json(*CREATE, "viewer", "--workspace", "team")
    said = relay.declined("keys", "revoke", made["id"])
    assert said == "The workspace 'default' has no key with this id."
    relay.well("keys", "revoke", made["id"], "--workspace", "team")


@pytest.mark.parametrize("columns", [20, 60, 70, 80, 200])
def test_no_terminal_is_too_narrow_for_a_column(relay: Typed, columns: int) -> None:
    """What a key is called and what it may do is there, if on more lines."""
    made = relay.json("keys", "create", "--name", "n" * 100, "--role", "developer")
    table = Typed(relay.folder, COLUMNS=str(columns)).well("keys", "list").stdout
    heads = table.splitlines()[0]
    assert heads.split() == "id name kind role created expires last used state".split()
    assert len(heads) <= max(columns, 79)
    assert table.count("n") >= 100
    for whole in (made["id"], made["expires_at"][:10], "developer", "active"):
        assert whole in table


def test_a_test_key_sends(relay: Typed) -> None:
    """So says the help, lest somebody takes it for a rehearsal."""
    said = " ".join(re.sub(r"\s+", " ", relay.well("keys", "create", "--help").stdout).split())
    assert "Create a test key. It sends like a live key" in said
    assert "cannot create live keys or signing secrets" in said
