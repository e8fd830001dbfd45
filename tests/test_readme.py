"""What the README says to type does what it says."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pytest

from gateway.variables import VARIABLES

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+ ?\w*)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
VOLATILE = {"duration_ms", "expires_at", "started_at", "request_id"}


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


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="relay-readme-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def answers(folder: Path) -> list[tuple[str, str, str]]:
    """Each command of the walk that has an answer below it: command, said, printed."""
    blocks = dict(BLOCKS)
    relay = [sys.executable, "-m", "gateway"]
    env = {
        **environment(blocks["sh gateway"]),
        "RELAY_DATA_DIR": str(folder / "data"),
        "STOP_DELAY": "0",
    }
    receiver_env = environment(blocks["sh receiver"])
    with (
        started([*relay, "serve", "--port", "0"], env, "stdout") as gateway,
        started([*relay, "receive", "--port", "0"], receiver_env, "stderr") as receiver,
    ):
        here = {"http://127.0.0.1:8000": gateway, "http://127.0.0.1:9000": receiver}
        return [
            (command, said, _printed(command, here, folder))
            for (_, command), (kind, said) in pairwise(BLOCKS)
            if kind in ("json", "text")
        ]


def _printed(command: str, here: dict[str, str], folder: Path) -> str:
    for there, url in here.items():
        command = command.replace(there, url)
    printed = subprocess.check_output(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, text=True, timeout=30
    )
    for there, url in here.items():
        printed = printed.replace(url, there)
    return printed


def test_the_curls_answer_what_the_readme_says(answers: list[tuple[str, str, str]]) -> None:
    """Every answer has the members and the lasting values that stand below its command."""
    assert len(answers) == 3
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


def test_the_readme_knows_every_setting() -> None:
    """The table of the README and the variables that are read are the same."""
    cells = re.findall(r"^\| (`[A-Z_`, ]+`) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"[A-Z_]+", cell)]
    assert sorted(named) == sorted(VARIABLES)
