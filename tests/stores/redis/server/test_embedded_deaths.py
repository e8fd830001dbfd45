"""The embedded server is started again, whatever stood in the way of it for a while."""

import os
import signal
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path

import pytest

from stores.redis.client import open_store
from stores.redis.scripts import RedisUnavailable
from stores.redis.server import embedded
from tests.support.embedded import data_dir, server_pid
from tests.support.gateways import until

Mend = Callable[[], object]


def lock_is_a_folder(folder: Path) -> Mend:
    """As when no file can be opened, or the disk is gone."""
    lock = folder / "server.lock"
    lock.unlink()
    lock.mkdir()
    return lock.rmdir


def folder_is_away(folder: Path) -> Mend:
    away = folder.with_name("away")
    folder.rename(away)
    return lambda: away.rename(folder)


def file_is_broken(folder: Path) -> Mend:
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    kept = manifest.read_bytes()
    manifest.write_bytes(b"nonsense\n")
    return lambda: manifest.write_bytes(kept)


@pytest.mark.parametrize("breaks", [lock_is_a_folder, folder_is_away, file_is_broken])
async def test_a_start_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, breaks: Callable[[Path], Mend]
) -> None:
    """Until it succeeds: no failure ends the loop, and what was stored is there again."""
    tries: list[Path] = []
    start = embedded._start

    async def counted(folder: Path, socket: Path) -> Process:
        tries.append(folder)
        return await start(folder, socket)

    async def tried_twice() -> bool:
        return len(tries) > 2

    monkeypatch.setattr(embedded, "_start", counted)
    with data_dir() as folder:
        async with open_store(None, folder) as store:
            await store.client.set("kept", "value", ex=600)
            killed = server_pid(folder)
            mend = breaks(folder / "valkey")
            os.kill(killed, signal.SIGKILL)
            await until(tried_twice)
            with pytest.raises(RedisUnavailable):
                await store.scripts.call("probe", ["relay:probe"], "relay:x:y", 1000)
            mend()

            async def serves() -> bool:
                checks = await store.check(strict=True)
                return all(check.verdict == "ok" for check in checks)

            await until(serves)
            assert await store.client.get("kept") == b"value"
