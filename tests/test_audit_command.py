"""`relay audit`: what it proves, what it prints, and how it fails."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands.audit import audit
from gateway.commands.moment import Moment
from stores.sql.migrate import migrate
from tests.installation import CHAIN, Installation, log_line
from tests.sql.chains import day, entry


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


@pytest.mark.parametrize("source", ["-", "file"])
def test_heads_of_the_log_show_what_was_cut(
    installation: Installation, source: str, tmp_path: Path
) -> None:
    """From a file or stdin, between other lines and after prefixes; also of what is all gone."""
    heads = [installation.head(2), installation.head(5), installation.head(2, "other")]
    lines = ["started", '{"event": "request"}', *(f"relay-1  | {log_line(each)}" for each in heads)]
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    read = ("verify", "--heads", "-" if source == "-" else str(log))
    assert installation.run(*read, stdin=log.read_text()).exit_code == 0
    for table in ("audit", "audit_heads"):
        installation.execute(f"DELETE FROM {table}")
    assert installation.run("verify").exit_code == 0
    result = installation.run(*read, stdin=log.read_text())
    assert result.exit_code == 1
    cut = "BROKEN: entry 1 was there: the end of the chain was cut"
    assert result.stdout == f"other: {cut}\nw: {cut}\n"


def test_heads_that_cannot_be_read_are_told_of(installation: Installation) -> None:
    """A log without heads proves less than whoever asks may think."""
    cut_off = log_line(installation.head(5))[:-9]
    for log, said in ((f"{cut_off}\n", "0 heads, and 1"), ("nothing\n", "0 heads, and 0")):
        result = installation.run("verify", "--heads", "-", stdin=log)
        assert result.exit_code == 0
        assert f"Warning: the log has {said} that are unreadable." in result.stderr


def test_a_forged_head_in_the_log_is_named(installation: Installation) -> None:
    forged = installation.head(5)._replace(seq=4)
    result = installation.run("verify", "--heads", "-", stdin=log_line(forged))
    assert result.exit_code == 1
    assert "w: BROKEN: the log has a head at entry 4 that is not signed" in result.stdout


def test_the_wrong_key_verifies_nothing(installation: Installation) -> None:
    result = installation.run("verify", RELAY_AUDIT_KEY="w" * 32)
    assert result.exit_code == 1
    assert result.stdout.count("BROKEN: entry 1 is not as it was signed") == 2


def test_entries_are_exported_whole(installation: Installation) -> None:
    """Oldest first, each with its number and HMAC, so that they can be checked elsewhere."""
    exported = installation.exported("--since", "2020-01-01", "--until", "2030-01-01")
    assert [(each["workspace"], each["seq"]) for each in exported] == [
        *(("other", n) for n in range(1, 3)),
        *(("w", n) for n in range(1, 6)),
    ]
    previous = bytes(32)
    for each in exported[2:]:
        mac = bytes.fromhex(each.pop("mac"))
        text = json.dumps(each, separators=(",", ":"), ensure_ascii=False)
        assert CHAIN.follows(previous, text, mac)
        previous = mac


def test_an_export_is_an_entry(installation: Installation) -> None:
    """Of every workspace that was read: what was asked for, and not in its own answer."""
    span = ("--since", "2020-01-01", "--workspace", "w")
    assert len(installation.exported(*span, "--event", "run.intended")) == 5
    (read,) = installation.exported(*span, "--event", "audit.read")
    assert (read["seq"], read["principal"], read["workspace"]) == (6, "cli", "w")
    assert read["detail"].startswith("export of run.intended from 2020-01-01T00:00:00.000Z to 20")
    assert "other: 2 entries verified\nw: 7 entries" in installation.run("verify").stdout


def test_an_export_has_its_bounds(installation: Installation) -> None:
    """From the one moment, up to the other."""
    installation.append([("x", entry(at=Moment().convert("2h", None, None)))], workspace="x")
    assert len(installation.exported("--since", "3h")) == 1
    assert len(installation.exported("--since", "1h", "--workspace", "x")) == 1  # audit.read
    assert installation.exported("--since", "3h", "--until", "150m", "--workspace", "x") == []


def test_a_tampered_chain_can_be_handed_over(installation: Installation) -> None:
    """Its broken entries as text, with a warning where the reading cannot be recorded."""
    installation.execute("UPDATE audit SET entry = 'no' || char(10) || 'json' WHERE seq = 2")
    installation.execute("UPDATE audit_heads SET seq = 4 WHERE workspace = 'w'")
    result = installation.run("export", "--since", "2020-01-01", "--until", "2030-01-01")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each.get("unreadable") for each in lines].count("no\njson") == 2
    assert "Warning: this reading is not recorded" in result.stderr
    assert len(lines) == 7


def test_pages_of_an_export_follow_each_other(installation: Installation) -> None:
    installation.append([(f"n-{n}", entry()) for n in range(2100)], workspace="many")
    exported = installation.exported("--since", "2020-01-01", "--workspace", "many")
    assert [each["seq"] for each in exported] == list(range(1, 2101))


@pytest.mark.parametrize("when", ["yesterday", "7", "7y", "-1d", "9" * 12 + "d", "2026-13-01"])
def test_what_is_no_time_is_refused(when: str) -> None:
    result = CliRunner().invoke(audit, ["export", f"--since={when}"])
    assert result.exit_code == 2
    assert "is no time like 2026-11-23" in result.stderr


@pytest.mark.parametrize("command", [("verify",), ("export", "--since", "1d")])
def test_what_cannot_be_done_is_said(tmp_path: Path, command: tuple[str, ...]) -> None:
    """One sentence, never a traceback."""
    empty = Installation(tmp_path)
    outdated = empty.run(*command)
    assert (outdated.exit_code, outdated.stdout) == (1, "")
    assert "run `relay migrate`" in outdated.stderr
    away = empty.run(*command, DATABASE_URL="postgresql://127.0.0.1:1/relay")
    assert away.exit_code == 1
    assert "the database does not answer" in away.stderr
    for variable, value in (("RELAY_ENV", "neither"), ("DATABASE_URL", "sqlite:///:memory:")):
        wrong = empty.run(*command, **{variable: value})
        assert wrong.exit_code == 1
        assert f"Error: {variable}" in wrong.stderr


def test_a_workspace_that_nobody_knows_is_no_good_news(installation: Installation) -> None:
    """A name that was mistyped must not look like a chain that is whole."""
    for command in (("verify",), ("export", "--since", "1d")):
        result = installation.run(*command, "--workspace", "typo", "--workspace", "w")
        assert result.exit_code == 1
        assert "Nothing was audited in typo." in result.stderr


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE audit SET entry = x'7b7d' WHERE seq = 2", "entry 2 is not as it was signed"),
        ("UPDATE audit SET mac = 'text' WHERE seq = 2", "entry 2 is not as it was signed"),
        ("UPDATE audit SET seq = 'text' WHERE seq = 2", "entry 2 is missing"),
        ("UPDATE audit SET seq = 'text' WHERE source = '5-0'", "before entry 5 stands one"),
        ("UPDATE audit_heads SET seq = 'text', mac = 5", "the head is not what was signed"),
        ("UPDATE audit_heads SET signature = 'text'", "the head is not what was signed"),
    ],
)
def test_values_of_a_wrong_kind_are_named(
    installation: Installation, statement: str, named: str
) -> None:
    """SQLite keeps in a column whatever it is given."""
    installation.execute(statement)
    result = installation.run("verify", "--workspace", "w")
    assert result.exit_code == 1
    assert f"w: BROKEN: {named}" in result.stdout


def test_bytes_that_are_no_text_are_told_of(installation: Installation) -> None:
    installation.execute("UPDATE audit SET status = CAST(x'ff' AS TEXT) WHERE seq = 2")
    result = installation.run("verify")
    assert result.exit_code == 1
    assert "Error: the database holds what it cannot: Could not decode" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "label"),
    [(["verify"], "Verifying"), (["export", "--since=2020-01-01"], "Export")],
)
def test_whoever_watches_sees_how_it_goes_on(
    installation: Installation, arguments: list[str], label: str
) -> None:
    """On a terminal alone; what is printed stays free of it."""
    controller, terminal = pty.openpty()
    program = "from gateway.commands.audit import audit; audit()"
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
