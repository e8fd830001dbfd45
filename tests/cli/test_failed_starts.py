"""A start that fails under another server, or under `--reload`, is one sentence too."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.postgres import free_port
from tests.support.valkey import Valkey

UVICORN = ("uvicorn", "--factory", "gateway.app:from_env")
RELOADING = ("gateway", "serve", "--reload")
END = "ERROR:    Application startup failed. Exiting."


def errors(words: Sequence[str], env: dict[str, str]) -> list[str]:
    """What such a server says of a start that fails, up to its end; its status lines apart."""
    command = [sys.executable, "-m", *words, "--port", str(free_port())]
    with subprocess.Popen(
        command, env={**os.environ, **env}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line.rstrip("\n"))
            if said[-1] == END:
                break
        os.killpg(process.pid, signal.SIGTERM)  # the reloader waits for a change
    return [line for line in said if not line.startswith(("INFO:", "{"))]


@pytest.mark.parametrize("words", [UVICORN, RELOADING], ids=["uvicorn", "reload"])
def test_a_gateway_that_cannot_open_says_why(
    words: Sequence[str], valkey: Valkey, tmp_path: Path
) -> None:
    """Here the policy of the operator is missing; no traceback is shown."""
    missing = tmp_path / "policy.toml"
    env = {"REDIS_URL": valkey.url, "RELAY_DATA_DIR": str(tmp_path)}
    why = f"ERROR:    RELAY_APPROVAL_POLICY: [Errno 2] No such file or directory: '{missing}'"
    assert errors(words, {**env, "RELAY_APPROVAL_POLICY": str(missing)}) == [why, END]


def test_a_variable_that_is_invalid_is_named() -> None:
    """Under uvicorn, which calls the factory; the command line reads the settings first."""
    why = "ACTION_TIMEOUT is 'abc'; it may hold a number of seconds, 0.1 to 300"
    assert errors(UVICORN, {"ACTION_TIMEOUT": "abc"}) == [f"Error: {why}"]
