"""`relay audit verify --heads`: what logs show that the database does not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.installation import Installation, installation, log_line

__all__ = ["installation"]


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
    cut = "BROKEN: entry 1 existed: the end of the chain was cut"
    assert result.stdout == f"other: {cut}\nw: {cut}\n"


def docker(line: str) -> str:
    return json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-11-23T13:55:37Z"})


def journal(line: str) -> str:
    return json.dumps({"_PID": "1", "MESSAGE": line, "PRIORITY": "6"})


def loki(line: str) -> str:
    return '2026-11-23T13:55:37Z {app="relay"} ' + line


def spaced(line: str) -> str:
    return line.replace('{"', '{ "', 1)


@pytest.mark.parametrize("wrapped", [docker, journal, loki, spaced])
def test_heads_are_found_in_lines_that_are_wrapped(
    installation: Installation, wrapped: Callable[[str], str]
) -> None:
    """As Docker keeps them in its files, and as `journalctl -o json` and logcli print them."""
    log = wrapped(log_line(installation.head(5)))
    assert installation.run("verify", "--heads", "-", stdin=log).exit_code == 0
    installation.execute("DELETE FROM audit WHERE workspace = 'w'")
    installation.execute("DELETE FROM audit_heads WHERE workspace = 'w'")
    result = installation.run("verify", "--heads", "-", stdin=log)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "w: BROKEN: entry 1 existed" in result.stdout


def test_a_log_without_heads_proves_nothing(installation: Installation) -> None:
    """Nor does one with those of others: a chain that was cut would look whole."""
    spoilt, other = log_line(installation.head(5))[:-9], log_line(installation.head(2, "other"))
    nested = '{"event":"audit.head","deep":' + "[" * 100_000
    strange = log_line(installation.head(2, "other")).replace('"other"', '"oth\ufffdr"')
    spoilt_ones = (spoilt, docker(spoilt), journal(spoilt), nested, strange)
    for log, count in (("nothing", 0), *((each, 1) for each in spoilt_ones)):
        result = installation.run("verify", "--heads", "-", stdin=log)
        assert (result.exit_code, result.stdout) == (2, "")
        said = f"the log has 0 readable heads and {count} unreadable ones."
        assert f"Invalid value for --heads: {said}" in result.stderr
    result = installation.run("verify", "--heads", "-", "--workspace", "w", stdin=other)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the log has 0 readable heads of w and 0" in result.stderr


def test_unreadable_heads_are_reported(installation: Installation) -> None:
    """Beside others they are a warning: a log may be cut off anywhere."""
    whole = log_line(installation.head(5))
    result = installation.run("verify", "--heads", "-", stdin=f"{whole}\n{whole[:-9]}\n")
    assert result.exit_code == 0
    assert "Warning: the log has 1 readable heads and 1 unreadable ones." in result.stderr


def test_a_forged_head_in_the_log_is_named(installation: Installation) -> None:
    forged = installation.head(5)._replace(seq=4)
    result = installation.run("verify", "--heads", "-", stdin=log_line(forged))
    assert result.exit_code == 1
    assert "w: BROKEN: the head of entry 4 in the log is not signed" in result.stdout
