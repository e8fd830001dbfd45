"""What the README says to type does what it says."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import click
import pytest

from gateway.cli import relay
from gateway.variables import VARIABLES

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+ ?\w*)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
VOLATILE = {
    *("duration_ms", "created_at", "expires_at", "started_at"),
    *("id", "created_by", "secret"),
}
END = "-- the end of what this command printed --"
# What a gateway says to a key of which it does not know yet.
EARLY = '"code":"unauthenticated"'


def environment(command: str) -> dict[str, str]:
    """The assignments before a command."""
    words = shlex.split(command)
    return dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))


@contextmanager
def started(command: list[str], env: dict[str, str], stream: str) -> Iterator[str]:
    """Run a command in a process group of its own; the first URL that it says."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **env},
        text=True,
        start_new_session=True,
        **{stream: subprocess.PIPE},  # type: ignore[call-overload]
    ) as process:
        try:
            said: IO[str] = getattr(process, stream)
            yield next(url[0] for line in said if (url := re.search(r"http://\S+", line)))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)


class Terminal:
    """A shell in which one command after another is typed; it ends at the first that fails."""

    def __init__(self, shell: subprocess.Popen[str], here: Mapping[str, str]) -> None:
        self._shell, self._here = shell, here

    def type(self, command: str) -> str:
        """What it prints. `here`: what stands in this run for words of the README."""
        for there, this in self._here.items():
            command = command.replace(there, this)
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{command}\necho; echo '{END}'\n")
        self._shell.stdin.flush()
        printed = ""
        for line in self._shell.stdout:
            if line == f"{END}\n":
                break
            printed += line
        else:
            raise AssertionError(f"it failed: {command}")
        for there, this in self._here.items():
            printed = printed.replace(this, there)
        return printed

    def answer(self, command: str) -> str:
        """As `type`; again while the gateway does not know the key."""
        patience = time.monotonic() + 10
        while EARLY in (printed := self.type(command)) and time.monotonic() < patience:
            time.sleep(0.05)
        return printed


@contextmanager
def terminal(folder: Path, env: Mapping[str, str], here: Mapping[str, str]) -> Iterator[Terminal]:
    with subprocess.Popen(
        ["bash", "-euo", "pipefail"],
        cwd=folder,
        env={**os.environ, **env},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as shell:
        try:
            yield Terminal(shell, here)
        finally:
            shell.kill()


@pytest.fixture(scope="module")
def answers() -> Iterator[list[tuple[str, str, str]]]:
    """Each command of the walk that has an answer below it: command, said, printed."""
    blocks = dict(BLOCKS)
    relay = [sys.executable, "-m", "gateway"]
    with TemporaryDirectory(prefix="relay-readme-") as name:
        data = {"RELAY_DATA_DIR": f"{name}/data"}
        env = {**environment(blocks["sh gateway"]), **data, "STOP_DELAY": "0"}
        receiver_env = environment(blocks["sh receiver"])
        with (
            started([*relay, "serve", "--port", "0"], env, "stdout") as gateway,
            started([*relay, "receive", "--port", "0"], receiver_env, "stderr") as receiver,
        ):
            here = {"http://127.0.0.1:8000": gateway, "http://127.0.0.1:9000": receiver}
            here[".venv/bin/relay"] = shlex.join(relay)
            with terminal(Path(name), data, here) as typed:
                yield [*walked(typed)]


def walked(typed: Terminal) -> Iterator[tuple[str, str, str]]:
    _, *walk = BLOCKS  # less the first `make run`
    for (kind, command), (below, said) in pairwise([*walk, ("", "")]):
        if kind == "sh":
            printed = typed.answer(command)
            if below in ("json", "text"):
                yield command, said, printed


def test_the_curls_answer_what_the_readme_says(answers: list[tuple[str, str, str]]) -> None:
    """Every answer has the members and the lasting values that stand below its command."""
    assert len(answers) == 4
    for command, said, printed in answers:
        if said.startswith("{"):
            assert lasting(json.loads(printed)) == lasting(json.loads(said)), command
        else:
            assert printed.strip() == said.strip(), command


def lasting(value: Any) -> Any:
    """The value without what differs from run to run; ids and digests end in … in the README."""
    match value:
        case dict():
            return {
                name: "volatile" if name in VOLATILE or name.endswith("_id") else lasting(member)
                for name, member in value.items()
                if name != "digest"
            }
        case _:
            return value


def test_make_run_serves() -> None:
    """`make run` of the first block starts a gateway."""
    kind, command = BLOCKS[0]
    assert (kind, command.split()) == ("sh", ["make", "run"])
    with TemporaryDirectory(prefix="relay-make-") as data:
        env = {"RELAY_DATA_DIR": data, "STOP_DELAY": "0", "ARGS": "--port 0"}
        with started(command.split(), env, "stdout") as url:
            probe = subprocess.check_output(["curl", "-sf", f"{url}/ready"], text=True)
        assert json.loads(probe)["status"] == "ready"


def test_the_commands_in_its_sentences_are_commands() -> None:
    """With these options and arguments."""
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"`(?:\.venv/bin/)?relay ([^`]+)`", text)
    assert len(named) >= 11
    for words in named:
        command: click.Command = relay
        arguments = shlex.split(words)
        while isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        command.make_context(command.name, arguments)


def test_the_readme_knows_every_setting() -> None:
    """The table of the README and the variables that are read are the same."""
    cells = re.findall(r"^\| (`[A-Z_`, ]+`) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"[A-Z_]+", cell)]
    assert sorted(named) == sorted(VARIABLES)
