"""What a guide says to type does what it says."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.test_readme import (
    APPROVALS,
    LEFT_OUT,
    Step,
    Terminal,
    as_said,
    blocks,
    environment,
    started,
    terminal,
)

RELAY = [sys.executable, "-m", "gateway"]


class Walk(NamedTuple):
    """`received`: what the receiver printed."""

    steps: list[Step]
    received: str


def typed(terminal: Terminal, parts: list[tuple[str, str]]) -> Iterator[Step]:
    """Type every block `sh`, and yield those that have an answer below them."""
    for (kind, command), (below, written) in pairwise([*parts, ("", "")]):
        if kind == "sh":
            printed = terminal.answer(command)
            if below in ("json", "text"):
                yield Step(command, written, printed)


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    """Type the commands of the guide; start its gateway and its receiver where it does."""
    parts = blocks(APPROVALS)
    start = [kind for kind, _ in parts].index("sh gateway")
    commands = dict(parts)
    with TemporaryDirectory(prefix="relay-guide-") as name:
        folder = Path(name)
        data = {"RELAY_DATA_DIR": f"{name}/data", "STOP_DELAY": "0"}
        policy = {"RELAY_APPROVAL_POLICY": f"{name}/policy.toml"}
        here = {".venv/bin/relay": shlex.join(RELAY)}
        with terminal(folder, data, here) as shell:
            steps = list(typed(shell, parts[:start]))
            env = {**environment(commands["sh gateway"]), **data, **policy}
            receive = environment(commands["sh receiver"])
            with (
                (folder / "received").open("w") as received,
                started([*RELAY, "serve", "--port", "0"], env, "stdout") as gateway,
                started(
                    [*RELAY, "receive", "--port", "0"], receive, "stderr", stdout=received
                ) as receiver,
            ):
                here |= {"http://127.0.0.1:8000": gateway, "http://127.0.0.1:9000": receiver}
                shell.type(f"export RELAY_URL={gateway}")
                steps += typed(shell, parts[start + 2 :])
        yield Walk(steps, (folder / "received").read_text())


def test_the_guide_answers_what_it_says(walk: Walk) -> None:
    """Members and lines that stand in the guide; `…` stands for what differs."""
    assert len(walk.steps) >= 4
    for command, written, printed in walk.steps:
        if written.startswith("{"):
            said = json.loads(re.sub(r",\s*…(?=\s*})", f', "{LEFT_OUT}": 0', written))
            assert as_said(json.loads(printed), said) == said, command
        else:
            pattern = re.escape(written.strip()).replace(re.escape(LEFT_OUT), r"[^\x00]*?")
            assert re.fullmatch(pattern, printed.strip()), printed


def test_the_approved_request_is_sent_once(walk: Walk) -> None:
    [line] = walk.received.splitlines()
    assert '"signature": "verified"' in line
    assert json.loads(line)["body"] == '{"refund": 12}'
