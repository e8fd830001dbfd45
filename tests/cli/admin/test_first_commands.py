"""The first command makes the database, and those that are typed beside it wait for nothing."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from stores.sql.database import HEAD
from tests.support.commanded import Typed
from tests.support.gateways import unmeasured

# Children of one process: what they need takes longer to load than to use.
AT_ONCE = """
import os, sys
import alembic.command, stores.audit.chain, stores.sql.migrate
from gateway.cli.admin.workspaces import workspaces

for number in range(4):
    if os.fork() == 0:
        workspaces(["create", f"w{number}"])
sys.exit(any([os.wait()[1] for _ in range(4)]))
"""


def test_commands_at_once_all_succeed(tmp_path: Path) -> None:
    """In a folder that is not there yet; and nothing stays but what is kept."""
    folder = tmp_path / "data"
    env = {**unmeasured(), "RELAY_DATA_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = Typed(folder).json("workspaces", "list")["workspaces"]
    assert [one["name"] for one in listed] == ["default", "w0", "w1", "w2", "w3"]
    assert sorted(os.listdir(folder)) == ["local-keys.json", "relay.db"]  # noqa: PTH208


@pytest.mark.parametrize("words", [("workspaces", "list"), ("migrate",)])
def test_a_database_is_seen_with_its_schema_or_not_at_all(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """From the moment that there is a file."""
    file = tmp_path / "relay.db"
    with ThreadPoolExecutor(1) as thread:
        command = thread.submit(Typed(tmp_path).well, *words)
        while not file.exists():
            assert not command.done() or file.exists()
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert found == [(HEAD,)]
    assert command.result().stdout
