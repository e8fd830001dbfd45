"""`relay audit export`: what it hands over, and what it says of that in the audit."""

import json
import re
from pathlib import Path

import pytest

from gateway.cli.options import Instant
from stores.audit_entries import EVENTS
from tests.support.chains import entry
from tests.support.installation import CHAIN, Installation, installation

__all__ = ["installation"]

ROOT = Path(__file__).parents[3]
# How the sources say of what an entry is: a field, a change, JSON in Lua.
SAID = re.compile(r"""\bevent="([a-z_.]+)"|\brecord\("([a-z_.]+)"|'\{"event":"([a-z_.]+)\"""")


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
        assert CHAIN.verify_entry(previous, text, mac)
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
    installation.append([("x", entry(at=Instant().convert("2h", None, None)))], workspace="x")
    assert len(installation.exported("--since", "3h")) == 1
    assert len(installation.exported("--since", "1h", "--workspace", "x")) == 1  # audit.read
    for until in ("150m", "1970-01-01"):
        assert installation.exported("--since", "3h", "--until", until, "--workspace", "x") == []


def test_a_tampered_chain_can_be_handed_over(installation: Installation) -> None:
    """Its broken entries as text, with a warning where the reading cannot be recorded."""
    installation.execute("UPDATE audit SET entry = 'no' || char(10) || 'json' WHERE seq = 2")
    installation.execute("UPDATE audit_heads SET seq = 4 WHERE workspace = 'w'")
    result = installation.run("export", "--since", "2020-01-01", "--until", "2030-01-01")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each.get("unreadable") for each in lines].count("no\njson") == 2
    assert "Warning: this export is not recorded" in result.stderr
    assert len(lines) == 7


def test_pages_of_an_export_follow_each_other(installation: Installation) -> None:
    installation.append([(f"n-{n}", entry()) for n in range(2100)], workspace="many")
    exported = installation.exported("--since", "2020-01-01", "--workspace", "many")
    assert [each["seq"] for each in exported] == list(range(1, 2101))


def numbers(installation: Installation, *arguments: str) -> list[int]:
    return [each["seq"] for each in installation.exported(*arguments, "--workspace", "w")]


def test_an_export_after_a_number_misses_nothing(installation: Installation) -> None:
    """An entry that comes late is older than what was handed over, and its number is greater."""
    assert numbers(installation, "--after", "0") == [1, 2, 3, 4, 5]
    assert numbers(installation, "--after", "3") == [4, 5, 6]
    late = Instant().convert("1h", None, None)
    installation.append([("late", entry(at=late))])
    assert 8 not in numbers(installation, "--since", "30m")
    assert numbers(installation, "--after", "7") == [8, 9]
    assert numbers(installation, "--after", "7", "--event", "key.created") == [8]


def test_a_reading_hands_over_the_reading_before_it(installation: Installation) -> None:
    """Not itself; the entry says after what it was."""
    assert numbers(installation, "--after", "5") == []
    (first,) = installation.exported("--after", "5", "--workspace", "w")
    assert (first["seq"], first["event"], first["detail"]) == (6, "audit.read", first["detail"])
    assert first["detail"] == "export after entry 5"
    only = ("--event", "audit.read", "--event", "run.ended")
    assert numbers(installation, "--after", "6", *only) == [7]
    (third,) = installation.exported("--after", "7", "--workspace", "w")
    assert third["detail"] == "export of audit.read, run.ended after entry 6"


def test_a_number_beyond_the_chain_is_an_error(installation: Installation) -> None:
    """The end was cut, or the database is an old one: silence would pass for no news."""
    result = installation.run("export", "--after", "6", "--workspace", "w")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no entry 6 in w: the last one is 5" in result.stderr
    assert installation.run("verify", "--workspace", "w").stdout == "w: 5 entries verified\n"


def test_missing_entries_are_reported(installation: Installation) -> None:
    """Deleted or removed by retention; the rest is exported."""
    installation.execute("DELETE FROM audit WHERE workspace = 'w' AND seq = 4")
    result = installation.run("export", "--after", "2", "--workspace", "w")
    assert result.exit_code == 0
    assert "Warning: entry 4 is missing: run `relay audit verify`" in result.stderr
    result = installation.run("export", "--after", "4", "--workspace", "w")
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [5, 6]
    assert "Warning" not in result.stderr
    installation.execute("DELETE FROM audit WHERE workspace = 'w'")
    result = installation.run("export", "--after", "4", "--workspace", "w")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Warning: entry 5 is missing" in result.stderr


def test_removed_entries_are_reported(installation: Installation) -> None:
    """As retention leaves it."""
    installation.remove_before(3, workspace="w")
    result = installation.run("export", "--after", "1", "--workspace", "w")
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [3, 4, 5]
    assert (
        "entries 2 to 2 were removed, because they are older than AUDIT_RETENTION" in result.stderr
    )
    assert "missing" not in result.stderr
    installation.execute("UPDATE audit_checkpoints SET signature = x'00'")
    result = installation.run("export", "--after", "1", "--workspace", "w")
    assert "too old" not in result.stderr
    assert "Warning: entry 2 is missing" in result.stderr


def test_a_broken_chain_is_handed_over_after_a_number_too(installation: Installation) -> None:
    installation.execute("UPDATE audit_heads SET seq = 4 WHERE workspace = 'w'")
    assert numbers(installation, "--after", "3") == [4, 5]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "Give either --since or --after."),
        ("--until 1d", "Give either --since or --after."),
        ("--since 1d --after 3 --workspace w", "Give either --since or --after."),
        ("--after 3", "--after needs exactly one --workspace"),
        ("--after 3 --workspace w --workspace other", "--after needs exactly one --workspace"),
        ("--after 3 --workspace w --until 1d", "--until goes with --since"),
        ("--after -1 --workspace w", "-1 is not in the range"),
        ("--after 9223372036854775808 --workspace w", "9223372036854775808 is not in the range"),
        ("--since 1d --event run.endet", "'run.endet' is not one of 'run.intended'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    installation: Installation, arguments: str, said: str
) -> None:
    result = installation.run("export", *arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_events_are_those_that_are_recorded() -> None:
    """As the sources say them."""
    files = [file for folder in ("gateway", "stores") for file in (ROOT / folder).rglob("*.*")]
    sources = [file.read_text() for file in files if file.suffix in (".py", ".lua")]
    recorded = {"".join(found) for text in sources for found in SAID.findall(text)}
    assert recorded == {*EVENTS}


@pytest.mark.parametrize("seq", ["'text'", "CAST(x'ff' AS TEXT)", "x'ff'", "3.5"])
def test_numbers_of_a_wrong_kind_stop_no_export(installation: Installation, seq: str) -> None:
    """SQLite stores values of any type in a column; each such row is exported once."""
    installation.execute(f"UPDATE audit SET seq = {seq} WHERE workspace = 'w' AND seq = 4")
    exported = installation.exported("--since", "2020-01-01", "--workspace", "w")
    assert sorted(each["seq"] for each in exported) == [1, 2, 3, 4, 5]


def test_pages_go_on_past_numbers_of_a_wrong_kind(installation: Installation) -> None:
    installation.append([(f"n-{n}", entry()) for n in range(2500)], workspace="many")
    installation.execute("UPDATE audit SET seq = 'x' || seq WHERE source LIKE 'n-%' AND seq > 900")
    exported = installation.exported("--since", "2020-01-01", "--workspace", "many")
    assert sorted(each["seq"] for each in exported) == list(range(1, 2501))


@pytest.mark.parametrize(
    "entry", ["""CAST('{"a":"' || x'ff' || '"}' AS TEXT)""", """x'7b2261223a22ff227d'""", "'[1]'"]
)
def test_entries_that_are_no_text_stop_no_export(installation: Installation, entry: str) -> None:
    installation.execute(f"UPDATE audit SET entry = {entry} WHERE workspace = 'w' AND seq = 4")
    assert len(installation.exported("--since", "2020-01-01", "--workspace", "w")) == 5


def test_an_entry_without_end_is_handed_over_as_text(installation: Installation) -> None:
    """Deeper than JSON is read."""
    depth = 100_000
    nested = f"""'{{"a":' || replace(hex(zeroblob({depth})), '00', '[')"""
    installation.execute(f"UPDATE audit SET entry = {nested} WHERE workspace = 'w' AND seq = 4")
    exported = installation.exported("--since", "2020-01-01", "--workspace", "w")
    assert len(exported[3]["unreadable"]) == depth + 5


@pytest.mark.parametrize("name", ["CAST(x'ff' AS TEXT)", "x'ff'"])
def test_a_workspace_name_that_is_no_text_is_reported(
    installation: Installation, name: str
) -> None:
    """It hides nothing of the others, and nothing is recorded in it."""
    installation.execute(f"UPDATE audit SET workspace = {name} WHERE workspace = 'other'")
    result = installation.run("export", "--since", "2020-01-01", "--until", "2030-01-01")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 5)
    assert "Warning: '\ufffd' is not a valid workspace name" in result.stderr
    verified = installation.run("verify")
    assert verified.exit_code == 1
    assert "\ufffd: BROKEN: another entry was inserted before entry 1" in verified.stdout
