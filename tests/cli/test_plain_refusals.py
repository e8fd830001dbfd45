"""What a command cannot read, write or reach ends it with one sentence and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import relay
from gateway.http.server import StartError, listening_socket
from tests.support.commanded import typed

RELAY = (sys.executable, "-m", "gateway")
# As Python reads a byte that is no UTF-8.
NO_TEXT = "x\udcff"


def refused(*words: str, **env: str) -> tuple[int, str]:
    """The exit status and the last line on stderr."""
    done = CliRunner().invoke(relay, list(words), env=env)
    assert isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr.splitlines()[-1]


def ended(
    *words: str, into: str = "/dev/null", env: dict[str, str] | None = None
) -> tuple[int, str]:
    """The exit status and what is on stderr of a process. `into`: where stdout goes."""
    with Path(into).open("wb") as output:
        done = subprocess.run(
            [*RELAY, *words],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    "words",
    [
        ("workspaces", "create", NO_TEXT),
        ("approvals", "show", NO_TEXT),
        ("approvals", "list", "--action", NO_TEXT),
        ("trace", NO_TEXT),
        ("serve", "--host", NO_TEXT),
        ("smoke", "--url", NO_TEXT),
    ],
)
def test_an_argument_that_is_no_text_is_refused(words: tuple[str, ...]) -> None:
    assert refused(*words) == (2, "Error: an argument is not UTF-8")


@pytest.mark.parametrize("name", ["--url", "--target"])
@pytest.mark.parametrize("url", ["http://[::1", "http://h:99999", "nonsense", "", "ftp://h"])
def test_smoke_takes_urls_alone(name: str, url: str) -> None:
    said = f"Error: Invalid value for {name}: it must be like http://host:port"
    assert refused("smoke", name, url) == (2, said)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("", "this is no host"),  # sockets take it for every address
        ("a\n", "this is no host"),
        ("é" * 80, "this is no host"),
        ("nosuch.invalid", "the host does not resolve"),
    ],
)
def test_a_host_that_cannot_be_listened_on_is_one_sentence(host: str, why: str) -> None:
    with pytest.raises(StartError, match=rf"\Acannot listen on [^\n]+: {why}\Z"):
        listening_socket(host, 0)


@pytest.mark.parametrize("reload", [(), ("--reload",)])
def test_a_host_to_listen_on_is_checked_first(reload: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is announced, also for those who work on Relay."""
    shown = tmp_path / "shown"
    done = ended("serve", "--port", "0", "--host", "", *reload, into=str(shown))
    assert done == (1, "Error: cannot listen on '': this is no host\n")
    assert not shown.read_bytes()


@pytest.mark.parametrize("command", ["check", "set", "replay"])
def test_a_policy_that_is_no_text_is_named(command: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(b"\xff\xfe")
    status, said = refused("policy", command, str(file), RELAY_DATA_DIR=str(tmp_path))
    assert status == 1
    assert said.startswith(f"Error: {file} is not UTF-8: ")


@pytest.mark.parametrize("words", [("--help",), ("openapi",), ("policy", "check", "FILE")])
def test_a_full_disk_is_named(words: tuple[str, ...], tmp_path: Path) -> None:
    """Not with Python's exit status 120, behind two lines about an ignored exception."""
    (tmp_path / "FILE").touch()
    given = [str(tmp_path / "FILE") if word == "FILE" else word for word in words]
    status, said = ended(*given, into="/dev/full")
    last = said.splitlines()[-1]
    assert (status, last) == (1, "Error: cannot go on: No space left on device")
    assert "Exception" not in said
    assert "Traceback" not in said


def test_a_reader_that_leaves_gets_no_traceback() -> None:
    """As behind `| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [*RELAY, "openapi"], stdout=pipe, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_closed_stdout_is_no_file_of_another(migrated_file: str, tmp_path: Path) -> None:
    """The database that the command opens must not become its stdout."""
    typed(migrated_file, tmp_path).well("keys", "create", "--name", "a", "--role", "admin")
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(RELAY)} audit export --since 24h >&-"],
        env={**os.environ, "RELAY_DATA_DIR": str(tmp_path)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert typed(migrated_file, tmp_path).well("keys", "list").exit_code == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_a_letter_shows_its_escape(
    encoding: str, migrated_file: str, tmp_path: Path
) -> None:
    typed(migrated_file, tmp_path).well("keys", "create", "--name", "né✓", "--role", "viewer")
    env = {"RELAY_DATA_DIR": str(tmp_path), "PYTHONIOENCODING": encoding}
    shown = tmp_path / "shown"
    assert ended("keys", "list", into=str(shown), env=env) == (0, "")
    assert "né✓".encode(encoding, "backslashreplace") in shown.read_bytes()


def test_texts_of_relay_are_read_as_utf_8() -> None:
    """Whatever the locale is: scripts, pages and policies."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert ended("openapi", env=locale) == (0, "")
    lines = "import stores.redis.scripts as it; print(len(it.SOURCES))"
    subprocess.run(
        [sys.executable, "-c", lines], env={**os.environ, **locale}, check=True, timeout=30
    )
