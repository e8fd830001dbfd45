"""What the documents say to type does what they say, and they stay short."""

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
from typing import IO, Any, NamedTuple

import click
import pytest

from gateway.cli.main import relay
from gateway.config.variables import VARIABLES

ROOT = Path(__file__).parent.parent
README, DEPLOY = "README.md", "deploy/README.md"
APPROVALS, STUDIO = "deploy/guides/approvals.md", "deploy/guides/studio.md"
CLIENTS, AGENTS = "deploy/guides/clients.md", "deploy/guides/agents.md"
DOCUMENTS = (
    *(README, DEPLOY, APPROVALS, STUDIO, "CONTRIBUTING.md", "CHANGELOG.md"),
    *("tests/bench/README.md", CLIENTS, AGENTS, "deploy/client/README.md"),
)
TEXTS = {name: (ROOT / name).read_text() for name in DOCUMENTS}
# Members that differ from run to run.
VOLATILE = {"duration_ms", "expires_at"}
# As the value of a string and as the last member of an object: what the document leaves out.
LEFT_OUT = "…"
END = "-- the end of what this command printed --"
# What a gateway answers until it has read a new key.
EARLY = '"code":"unauthenticated"'


def blocks(name: str) -> list[tuple[str, str]]:
    """The fenced blocks of a document: the word behind the fence, and the text."""
    return re.findall(r"```(\w+ ?\w*)\n(.*?)```", TEXTS[name], re.DOTALL)


START = {kind: command for kind, command in blocks(README) if kind.startswith("sh ")}


def environment(command: str) -> dict[str, str]:
    """The assignments before a command."""
    words = shlex.split(command)
    return dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))


@contextmanager
def started(command: list[str], env: dict[str, str], stream: str, **other: Any) -> Iterator[str]:
    """Run a command in its own process group; yield the first URL on the stream."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **env},
        text=True,
        start_new_session=True,
        **{stream: subprocess.PIPE, **other},
    ) as process:
        try:
            lines: IO[str] = getattr(process, stream)
            yield next(url[0] for line in lines if (url := re.search(r"http://\S+", line)))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)


class Terminal:
    """A shell in which commands are typed one after another; it ends at the first that fails."""

    def __init__(self, shell: subprocess.Popen[str], here: Mapping[str, str]) -> None:
        """`here`: for words of the document, what replaces them in this test."""
        self._shell, self._here = shell, here

    def type(self, command: str) -> str:
        """Return what the command prints."""
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
        """Type the command, and repeat it until the gateway knows the key."""
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


class Step(NamedTuple):
    command: str
    written: str
    printed: str


class ChainWalk(NamedTuple):
    """`received`: what the receiver printed."""

    steps: list[Step]
    received: str


@pytest.fixture(scope="module")
def walk() -> Iterator[ChainWalk]:
    """Type the commands of README.md and of deploy/README.md, beside a gateway and a receiver."""
    relay = [sys.executable, "-m", "gateway"]
    receive = [*relay, "receive", "--port", "0"]
    with TemporaryDirectory(prefix="relay-readme-") as name:
        folder = Path(name)
        data = {"RELAY_DATA_DIR": f"{name}/data"}
        env = {**environment(START["sh gateway"]), **data, "STOP_DELAY": "0"}
        with (
            (folder / "received").open("w") as received,
            started([*relay, "serve", "--port", "0"], env, "stdout") as gateway,
            started(
                receive, environment(START["sh receiver"]), "stderr", stdout=received
            ) as receiver,
        ):
            here = {"http://127.0.0.1:8000": gateway, "http://127.0.0.1:9000": receiver}
            here[".venv/bin/relay"] = shlex.join(relay)
            with terminal(folder, data, here) as typed:
                steps = [*walked(typed, README), *walked(typed, DEPLOY)]
        yield ChainWalk(steps, (folder / "received").read_text())


def walked(typed: Terminal, name: str) -> Iterator[Step]:
    """Type every block `sh`, and yield those that have an answer below them."""
    for (kind, command), (below, written) in pairwise([*blocks(name), ("", "")]):
        if kind == "sh":
            printed = typed.answer(command)
            if below in ("json", "text"):
                yield Step(command, written, printed)


def test_the_curls_answer_what_the_documents_say(walk: ChainWalk) -> None:
    """Every answer has the members and the lasting values that stand below its command."""
    assert len(walk.steps) == 4
    for command, written, printed in walk.steps:
        if written.startswith("{"):
            said = json.loads(re.sub(r",\s*…(?=\s*})", f', "{LEFT_OUT}": 0', written))
            assert as_said(json.loads(printed), said) == said, command
        else:
            assert printed.strip() == written.strip(), command


def as_said(printed: Any, said: Any) -> Any:
    """`printed`, with what the document leaves out as the document has it."""
    match printed, said:
        case dict(), dict():
            more = {LEFT_OUT: said.get(LEFT_OUT)} if printed.keys() - said.keys() else {}
            return {
                name: said[name] if name in VOLATILE else as_said(printed[name], said.get(name))
                for name in printed
                if name in said or LEFT_OUT not in said
            } | (more if LEFT_OUT in said else {})
        case str(), str() if said.endswith(LEFT_OUT):
            return said
    return printed


def test_the_receiver_prints_the_one_webhook_as_verified(walk: ChainWalk) -> None:
    """The execution sends once, and its replay sends nothing."""
    [line] = walk.received.splitlines()
    assert '"signature": "verified"' in line


def test_make_run_serves() -> None:
    """The first command of the README starts a gateway."""
    command = START["sh gateway"]
    with TemporaryDirectory(prefix="relay-make-") as data:
        env = {**environment(command), "RELAY_DATA_DIR": data, "STOP_DELAY": "0"}
        make = shlex.split(command)[-2:]
        with started([*make, "ARGS=--port 0"], env, "stdout") as url:
            probe = subprocess.check_output(["curl", "-sf", f"{url}/ready"], text=True)
        assert (make, json.loads(probe)["status"]) == (["make", "run"], "ready")


def test_the_commands_in_sentences_exist() -> None:
    """With these options and arguments."""
    named = re.findall(
        r"`(?:\.venv/bin/)?relay ([^`]+)`", TEXTS[README] + TEXTS[DEPLOY] + TEXTS[APPROVALS]
    )
    assert len(named) >= 15
    for words in named:
        command: click.Command = relay
        arguments = shlex.split(words)
        while isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        command.make_context(command.name, arguments)


def test_the_table_has_every_setting() -> None:
    """The configuration table and the variables that are read are the same."""
    named = re.findall(r"^\| `([A-Z_]+)` \|", TEXTS[DEPLOY], re.MULTILINE)
    assert sorted(named) == sorted(VARIABLES)


@pytest.mark.parametrize(
    ("name", "lines", "words"), [(README, 100, 800), ("CONTRIBUTING.md", 70, 800)]
)
def test_it_is_short(name: str, lines: int, words: int) -> None:
    """README up to 100 lines and 800 words, CONTRIBUTING up to 70 lines."""
    assert len(TEXTS[name].splitlines()) <= lines
    assert len(TEXTS[name].split()) <= words


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_reads_well(name: str) -> None:
    """No line has more than 160 characters, no link is dead, and no phrase is a riddle."""
    assert [line for line in TEXTS[name].splitlines() if len(line) > 160] == []
    links = re.findall(r"\]\(([^)#:]+)\)", TEXTS[name])
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []
    riddles = r"\b(he|him|his|whoever|whatever happens|nobody|so long|who asks)\b"
    assert re.findall(riddles, TEXTS[name], re.IGNORECASE) == []
