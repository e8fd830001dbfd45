"""`relay audit`: what it proves, what it prints, and how it fails."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.audit.commands import audit
from gateway.config.local_keys import FILE
from stores.sql.migrate import migrate
from tests.support.chains import day
from tests.support.installation import KEY, Installation

# To SQLite it is: x'ff' is no UTF-8.
NO_TEXT = "CAST(x'ff' AS TEXT)"

both = pytest.mark.parametrize("command", [("verify",), ("export", "--since", "2020-01-01")])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five entries in `w`, two in `other`."""
    folder = tmp_path_factory.mktemp("prepared")
    migrate(None, folder)
    Installation(folder).append(day(5))
    Installation(folder).append(day(2), workspace="other")
    return folder


@pytest.fixture
def installation(prepared: Path, tmp_path: Path) -> Installation:
    """Of its own for each test."""
    return Installation(Path(shutil.copytree(prepared, tmp_path / "data")))


def test_chains_that_are_whole_are_verified(installation: Installation) -> None:
    """All of them, or those that are named."""
    result = installation.run("verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "other: 2 entries verified\nw: 5 entries verified\n"
    named = installation.run("verify", "--workspace", "w")
    assert named.stdout == "w: 5 entries verified\n"


def test_a_broken_chain_is_named_with_its_first_bad_entry(installation: Installation) -> None:
    """In every workspace; the exit status is 1."""
    installation.execute("UPDATE audit SET status = 'x' WHERE workspace = 'w' AND seq IN (3, 4)")
    result = installation.run("verify")
    assert result.exit_code == 1
    assert "other: 2 entries verified\nw: BROKEN: entry 3 is not as it was" in result.stdout
    machine = installation.run("verify", "--json")
    assert machine.exit_code == 1
    said = json.loads(machine.stdout)
    broken = said["workspaces"][1]
    assert said["ok"] is False
    assert said["workspaces"][0] == {
        "ok": True,
        "workspace": "other",
        "entries": 2,
        "last": 2,
        "detail": "2 entries verified",
    }
    assert (broken["ok"], broken["seq"], broken["reason"]) == (False, 3, "edited")


def test_an_empty_audit_is_reported(installation: Installation) -> None:
    """No line at all could be taken for anything."""
    for table in ("audit", "audit_heads"):
        installation.execute(f"DELETE FROM {table}")
    result = installation.run("verify")
    assert (result.exit_code, result.stdout) == (0, "Nothing was audited.\n")
    machine = installation.run("verify", "--json")
    assert json.loads(machine.stdout) == {"ok": True, "workspaces": []}


def test_one_entry_is_no_plural(installation: Installation) -> None:
    installation.append(day(1), workspace="one")
    result = installation.run("verify", "--workspace", "one")
    assert result.stdout == "one: 1 entry verified\n"


def test_the_wrong_key_verifies_nothing(installation: Installation) -> None:
    result = installation.run("verify", RELAY_AUDIT_KEY="w" * 32)
    assert result.exit_code == 1
    assert result.stdout.count("BROKEN: entry 1 is not as it was signed") == 2


@pytest.mark.parametrize("when", ["yesterday", "7", "7y", "-1d", "9" * 12 + "d", "2026-13-01"])
def test_what_is_no_time_is_refused(when: str) -> None:
    result = CliRunner().invoke(audit, ["export", f"--since={when}"])
    assert result.exit_code == 2
    assert "is not a time like 2026-11-23" in result.stderr


@both
def test_an_unreadable_database_is_reported(tmp_path: Path, command: tuple[str, ...]) -> None:
    """One sentence, never a traceback, nor the exit status of a chain that is broken."""
    empty = Installation(tmp_path)
    for env, said in (
        ({}, "run `relay migrate`"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/relay"}, "the database does not answer"),
        ({"RELAY_ENV": "neither"}, "Error: RELAY_ENV"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "Error: DATABASE_URL"),
        ({"RELAY_DATA_DIR": "x" * 300}, "File name too long"),
    ):
        result = empty.run(*command, **env)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr


@both
def test_a_missing_table_is_reported(installation: Installation, command: tuple[str, ...]) -> None:
    installation.execute("DROP TABLE audit_checkpoints")
    result = installation.run(*command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such table: audit_checkpoints" in result.stderr


@both
def test_no_keys_are_made_to_look_with(
    installation: Installation, command: tuple[str, ...]
) -> None:
    """Another key than the one that signed accuses a chain that is whole."""
    before = sorted(installation.folder.iterdir())
    result = installation.run(*command, RELAY_AUDIT_KEY="")
    assert (result.exit_code, result.stdout) == (2, "")
    said = "there is no RELAY_AUDIT_KEY, and there are no keys in RELAY_DATA_DIR"
    assert f"Error: {said} ({installation.folder})" in result.stderr
    assert sorted(installation.folder.iterdir()) == before
    assert installation.run("verify").stdout == "other: 2 entries verified\nw: 5 entries verified\n"


def test_keys_that_were_made_here_are_looked_with(installation: Installation) -> None:
    names = ("key_pepper", "audit_key", "encryption_key")
    held = {name: b64encode(KEY.encode()).decode() for name in names}
    (installation.folder / FILE).write_text(json.dumps(held))
    result = installation.run("verify", "--workspace", "w", RELAY_AUDIT_KEY="")
    assert result.stdout == "w: 5 entries verified\n"


def test_an_unknown_workspace_is_an_error(installation: Installation) -> None:
    """A name that was mistyped must not look like a chain that is whole."""
    for command in (("verify",), ("export", "--since", "1d")):
        result = installation.run(*command, "--workspace", "typo", "--workspace", "w")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Nothing was audited in typo." in result.stderr


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE audit SET entry = x'7b7d' WHERE seq = 2", "entry 2 is not as it was signed"),
        (f"UPDATE audit SET entry = {NO_TEXT} WHERE seq = 2", "entry 2 is not as it was signed"),
        (f"UPDATE audit SET status = {NO_TEXT} WHERE seq = 2", "entry 2 is not as it was signed"),
        (f"UPDATE audit SET seq = {NO_TEXT} WHERE seq = 2", "entry 2 is missing"),
        ("UPDATE audit SET mac = 'text' WHERE seq = 2", "entry 2 is not as it was signed"),
        ("UPDATE audit SET seq = 'text' WHERE seq = 2", "entry 2 is missing"),
        (
            "UPDATE audit SET seq = 'text' WHERE source = '5-0'",
            "another entry was inserted before entry 5",
        ),
        ("UPDATE audit_heads SET seq = 'text', mac = 5", "the head is not the one that was signed"),
        ("UPDATE audit_heads SET signature = 'text'", "the head is not the one that was signed"),
    ],
)
def test_values_of_a_wrong_kind_are_named(
    installation: Installation, statement: str, named: str
) -> None:
    """SQLite stores values of any type in a column."""
    installation.execute(statement)
    result = installation.run("verify", "--workspace", "w")
    assert result.exit_code == 1
    assert f"w: BROKEN: {named}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "label"),
    [(["verify"], "Verifying"), (["export", "--since=2020-01-01"], "Export")],
)
def test_progress_is_shown_on_a_terminal(
    installation: Installation, arguments: list[str], label: str
) -> None:
    """On a terminal alone; what is printed stays free of it."""
    controller, terminal = pty.openpty()
    program = "from gateway.cli.audit.commands import audit; audit()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **installation.env, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        timeout=30,
        check=True,
    )
    os.close(terminal)
    shown = os.read(controller, 10_000).decode()
    os.close(controller)
    assert re.search(rf"{label}.*100%", shown, re.DOTALL)
    assert label.encode() not in done.stdout
