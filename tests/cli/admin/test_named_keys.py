"""`relay keys` accepts the id of a key or the whole key, and fits its table into any terminal."""

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
def test_a_whole_key_is_taken_for_its_id(relay: Typed, word: str, state: str) -> None:
    """The output does not repeat the key."""
    made = relay.json(*CREATE, "viewer")
    done = relay.well("keys", word, f" {made['secret']}\n")
    assert states(relay)[made["id"]] == state
    assert made["secret"] not in done.output


@pytest.mark.parametrize("word", ["revoke", "rotate"])
def test_an_unknown_whole_key_is_not_repeated(relay: Typed, word: str) -> None:
    key = make(live=True)
    output = relay.declined("keys", word, key.text)
    assert output == "The workspace 'default' has no key with this id."


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
def test_text_that_is_no_key_is_a_usage_error(relay: Typed, word: str) -> None:
    """The error does not repeat it, because it may be a key without its last letter."""
    for text in NO_IDS:
        done = relay("keys", word, text)
        output = " ".join(done.stderr.split())
        assert done.exit_code == 2, text
        assert output.endswith("it is neither the id of a key (8 letters and digits) nor a key."), (
            text
        )
        assert not text or text not in output


def test_an_unknown_key_is_reported_with_the_workspace(relay: Typed) -> None:
    relay.well("workspaces", "create", "team")
    made = relay.json(*CREATE, "viewer", "--workspace", "team")
    output = relay.declined("keys", "revoke", made["id"])
    assert output == "The workspace 'default' has no key with this id."
    relay.well("keys", "revoke", made["id"], "--workspace", "team")


@pytest.mark.parametrize("columns", [20, 60, 70, 80, 200])
def test_a_narrow_terminal_hides_no_column(relay: Typed, columns: int) -> None:
    """The names and scopes of keys wrap onto more lines."""
    made = relay.json("keys", "create", "--name", "n" * 100, "--role", "developer")
    table = Typed(relay.folder, COLUMNS=str(columns)).well("keys", "list").stdout
    heads = table.splitlines()[0]
    assert heads.split() == "id name kind role created expires last used state".split()
    assert len(heads) <= max(columns, 79)
    assert table.count("n") >= 100
    for whole in (made["id"], made["expires_at"][:10], "developer", "active"):
        assert whole in table


def test_the_help_says_that_a_test_key_sends(relay: Typed) -> None:
    """A test key is no dry run."""
    output = " ".join(re.sub(r"\s+", " ", relay.well("keys", "create", "--help").stdout).split())
    assert "Create a test key. It sends like a live key" in output
    assert "cannot create live keys or signing secrets" in output
