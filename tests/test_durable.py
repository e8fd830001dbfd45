"""The embedded database is made by a process of its own."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.config.settings import Settings
from gateway.durable import _ended, create_if_missing
from stores.sql.database import open_database
from tests.support.gateways import until

LINGERING = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'w')); time.sleep(60)"


async def test_there_is_one_where_there_was_none(tmp_path: Path) -> None:
    """Of the newest revision, for its owner alone, and nothing beside it."""
    await create_if_missing(Settings(data_dir=tmp_path))
    assert os.listdir(tmp_path) == ["relay.db"]  # noqa: PTH208
    assert (tmp_path / "relay.db").stat().st_mode & 0o777 == 0o600
    async with open_database(None, tmp_path) as database:
        await database.check()


async def test_one_that_is_there_stays(tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "relay.db").write_bytes(b"precious")
    await create_if_missing(Settings(data_dir=tmp_path))
    assert (tmp_path / "relay.db").read_bytes() == b"precious"


async def test_who_is_stopped_meanwhile_leaves_no_process(tmp_path: Path) -> None:
    """A gateway may end a second after its start."""
    told = tmp_path / "pid"
    command = [sys.executable, "-c", LINGERING, str(told)]
    waiting = asyncio.create_task(_ended(command, os.environ))

    async def runs() -> bool:
        return told.exists() and told.read_text().endswith("\n")

    await until(runs)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
