"""The command line: what it prints, what it refuses, and how it says so."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from time import time

import httpx2
import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import relay
from gateway.signatures import sign
from gateway.version import VERSION
from tests.support.embedded import data_dir
from tests.support.gateways import gateway_process

PAGE = os.sysconf("SC_PAGE_SIZE")
# What a user's own process has: coverage would be a tenth of it.
UNMEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_dir() as opened:
        yield opened


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(relay, list(arguments), env=env)


def command(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The command as a process, for what only a whole process shows."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def printing(*arguments: str, env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs until it is stopped; its output can be read."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], ["serve", "smoke", "receive", "gate", "trace", "approvals"]),
        (["-h"], ["serve", "smoke", "receive", "gate", "trace", "approvals"]),
        (["serve", "--help"], ["--host", "127.0.0.1", "--port", "8000", "--reload"]),
        (["smoke", "--help"], ["--url", "--target", "--json"]),
        (["receive", "--help"], ["--port", "9000"]),
        (["gate", "--help"], ["--prometheus", "--window", "--baseline-window", "--json"]),
        (["trace", "--help"], ["RUN_ID", "--url", "--json"]),
        (["approvals", "approve", "-h"], ["PREVIEW_ID", "--reason", "--yes", "--url"]),
        (["--version"], [f"relay, version {VERSION}"]),
    ],
)
def test_a_command_explains_itself(arguments: list[str], shown: list[str]) -> None:
    """Every command and option is in the help, with its default."""
    result = run(*arguments)

    assert result.exit_code == 0
    assert [text for text in shown if text not in result.output] == []


@pytest.mark.parametrize(
    ("variable", "held", "said"),
    [
        ("RELAY_ENV", "staging", "'staging'"),
        ("REDIS_URL", "http://redis", "a secret"),
        ("ACTION_TIMEOUT", "0.09", "'0.09'"),
        ("EGRESS_ALLOW", "10.0.0.0/99", "'10.0.0.0/99'"),
        ("WEBHOOK_URL", "ftp://example.com", "a secret"),
    ],
)
@pytest.mark.parametrize("name", ["serve", "smoke", "receive"])
def test_a_wrong_setting_stops_the_start(name: str, variable: str, held: str, said: str) -> None:
    """One line: the variable, what it holds, what it may hold."""
    result = run(name, **{variable: held})

    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: {variable} is {re.escape(said)}; it may hold .+\n", result.output)


def test_production_without_a_store_does_not_start() -> None:
    """The embedded server is for one machine; production names its own."""
    result = run("serve", RELAY_ENV="production", REDIS_URL="")

    assert result.exit_code == 1
    assert result.output.startswith("Error: REDIS_URL is not set")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("name", ["serve", "receive"])
def test_a_port_in_use_is_an_error_of_one_line(name: str) -> None:
    """It says which port, without a traceback."""
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command(name, "--port", str(port))

    said = f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1


def test_a_data_directory_has_one_gateway(folder: Path) -> None:
    """A second one on it says what to do instead, and does not disturb the first."""
    with gateway_process({"RELAY_DATA_DIR": str(folder)}) as first:
        second = command("serve", "--port", "0", RELAY_DATA_DIR=str(folder))
        ready = httpx2.get(f"{first.url}/ready", trust_env=False)

    assert second.returncode == 1
    assert second.stdout == ""
    said = f"Error: another gateway uses the data directory {folder}: set RELAY_DATA_DIR"
    assert second.stderr.startswith(said)
    assert second.stderr.count("\n") == 1
    assert ready.status_code == 200


@pytest.mark.parametrize(
    ("secret", "verdict"), [("right", "verified"), ("other", "WRONG"), ("", "not checked")]
)
def test_receive_prints_what_arrives(secret: str, verdict: str) -> None:
    """A line of JSON a delivery, with the verdict on its signature."""
    body = '{"test":  "héllo"}'.encode()
    env = {"ACTIONS_SIGNING_SECRET": secret, "PYTHONUNBUFFERED": "1"}
    with printing("receive", "--port", "0", env=env) as process:
        assert process.stderr
        assert process.stdout
        url = process.stderr.readline().removeprefix("Receiving on ").strip()
        signature = sign([b"right"], message_id="run-1", timestamp=int(time()), body=body)
        answer = httpx2.put(f"{url}/hook", content=body, headers=signature, trust_env=False)
        line = json.loads(process.stdout.readline())

    assert (answer.status_code, answer.text) == (200, "OK")
    assert line == {
        "method": "PUT",
        "path": "/hook",
        "signature": verdict,
        "body": body.decode(),
    }


def test_start_is_quick_and_idling_is_small(folder: Path) -> None:
    """Within 4 s of its CPU, since a busy machine takes any time; at most 60 MB resident."""
    with gateway_process({"RELAY_DATA_DIR": str(folder), **UNMEASURED}) as gateway:
        assert httpx2.get(f"{gateway.url}/ready", trust_env=False).status_code == 200
        fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
        pages = Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]

    ticks = int(fields[11]) + int(fields[12])  # of user and system, proc_pid_stat(5)
    assert ticks / os.sysconf("SC_CLK_TCK") < 4
    assert int(pages) * PAGE <= 60e6


@pytest.mark.parametrize(
    ("variable", "held", "said"),
    [
        ("RELAY_DATA_DIR", __file__, "cannot write in"),
        ("REDIS_URL", "redis://:hunter2@localhost/?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_a_start_that_fails_says_so(variable: str, held: str, said: str) -> None:
    """Exit status 1 and one line: a supervisor must not take it for a clean stop."""
    done = command("serve", "--port", "0", **{variable: held})
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
