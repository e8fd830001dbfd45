"""The embedded server is a real, private one that keeps its data and is never left behind."""

import asyncio
import ctypes
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from time import monotonic

import pytest

from stores.redis.client import Store, open_store
from stores.redis.server.embedded import SOCKET_PATH_MAX, EmbeddedStoreError, embedded_server
from tests.support.embedded import alive, data_dir, server_pid, servers_on

# Opens the store like a gateway, prints a line once its argument is stored, and waits.
OWNER = """
import asyncio, sys
from pathlib import Path
from stores.redis.client import open_store

async def own():
    async with open_store(None, Path(sys.argv[1])) as store:
        await store.client.set("kept", sys.argv[2])
        print("stored", flush=True)
        await asyncio.Event().wait()

asyncio.run(own())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_dir() as made:
        yield made


@pytest.fixture
def deep() -> Iterator[Path]:
    """A folder whose socket path is one byte too long, and its parent."""
    with TemporaryDirectory(prefix="relay-data-") as short:
        room = SOCKET_PATH_MAX - len(os.fsencode(short)) - len("//valkey/valkey.sock")
        yield Path(short) / ("d" * (room + 1))


def killed_owner(folder: Path, value: str) -> int:
    """Leave a server behind, like a killed gateway. Returns the server's pid."""
    command = [sys.executable, "-c", OWNER, str(folder), value]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout
            assert owner.stdout.readline() == "stored\n"
            pid = server_pid(folder)
        finally:
            owner.kill()
    assert alive(pid)
    return pid


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def config(store: Store, name: str) -> str:
    return str((await store.client.config_get(name))[name])


async def test_data_survives_restarts(folder: Path) -> None:
    """However often the server stops and starts."""
    for n in range(3):
        async with open_store(None, folder) as store:
            assert await store.client.llen("kept") == n
            await store.client.rpush("kept", n)


async def test_the_server_ends_with_its_owner(folder: Path) -> None:
    """No process is left, whether the block ends normally or by an exception."""
    async with open_store(None, folder):
        pid = server_pid(folder)
        assert servers_on(folder) == [pid]
    assert servers_on(folder) == []
    with pytest.raises(ZeroDivisionError):
        async with open_store(None, folder):
            raise ZeroDivisionError
    assert servers_on(folder) == []


async def test_the_server_is_configured_to_keep_records(folder: Path) -> None:
    """The append-only file is on, nothing is evicted, and production's checks pass."""
    async with open_store(None, folder) as store:
        assert await config(store, "appendonly") == "yes"
        assert await config(store, "appendfsync") == "everysec"
        assert await config(store, "maxmemory-policy") == "noeviction"
        checks = await store.check(strict=True)
    assert {check.verdict for check in checks} == {"ok"}


async def test_the_server_is_private(folder: Path) -> None:
    """It has no port, only its owner's user can connect, and Ctrl-C does not reach it."""
    ours = folder / "ours"
    async with embedded_server(ours) as socket, open_store(f"unix://{socket}", ours) as store:
        assert await config(store, "port") == "0"
        assert (mode(ours / "valkey"), mode(socket)) == (0o700, 0o700)
        assert os.getpgid(server_pid(ours)) != os.getpgid(0)


async def test_a_killed_owners_server_is_replaced(folder: Path) -> None:
    """After kill -9 the next owner stops the server that was left, and has all its data."""
    left = killed_owner(folder, "by the first")
    async with open_store(None, folder) as store:
        assert await store.client.get("kept") == b"by the first"
        assert not alive(left)
        assert servers_on(folder) == [server_pid(folder)]
    assert servers_on(folder) == []


@pytest.fixture
def no_init() -> Iterator[None]:
    """Like a container whose first process reaps no children: orphans stay zombies."""
    prctl, subreaper = ctypes.CDLL(None).prctl, 36
    prctl(subreaper, 1, 0, 0, 0)
    yield
    prctl(subreaper, 0, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
async def test_a_zombie_server_delays_no_start(folder: Path, no_init: None) -> None:
    """A server has stopped once its lock is free, though its process entry stays."""
    left = killed_owner(folder, "by the first")
    began = monotonic()
    async with open_store(None, folder) as store:
        assert monotonic() - began < 2
        assert await store.client.get("kept") == b"by the first"
    reap(left)


async def test_a_stale_socket_is_replaced(folder: Path) -> None:
    """If owner and server were both killed, the file that is left blocks no start."""
    pid = killed_owner(folder, "by the first")
    os.kill(pid, 9)
    while alive(pid):
        await asyncio.sleep(0.01)
    async with open_store(None, folder) as store:
        assert await store.client.get("kept") == b"by the first"


async def test_two_servers_never_share_a_folder(folder: Path) -> None:
    """A server that was left behind is found by its lock, even without its socket."""
    left = killed_owner(folder, "by the first")
    (folder / "valkey" / "valkey.sock").unlink()
    async with open_store(None, folder) as store:
        assert not alive(left)
        assert servers_on(folder) == [server_pid(folder)]
        assert await store.client.get("kept") == b"by the first"


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%41b", "a b"])
async def test_a_folder_may_have_any_name(folder: Path, name: str) -> None:
    """Also one with characters that have a meaning in URLs."""
    async with open_store(None, folder / name) as store:
        assert await store.client.ping()


async def test_a_data_dir_that_is_a_file_is_refused(folder: Path) -> None:
    """The error names RELAY_DATA_DIR."""
    with pytest.raises(EmbeddedStoreError, match="cannot write in"):
        async with embedded_server(Path(__file__)):
            pass


async def test_a_folder_has_one_owner(folder: Path) -> None:
    """A second owner is refused with a remedy; the first one's server is unharmed."""
    async with open_store(None, folder) as store:
        pid = server_pid(folder)
        with pytest.raises(EmbeddedStoreError, match="another gateway uses") as refusal:
            async with embedded_server(folder):
                pass
        assert str(folder) in str(refusal.value)
        assert "RELAY_DATA_DIR" in str(refusal.value)
        assert await store.client.ping()
        assert server_pid(folder) == pid
    async with embedded_server(folder):
        assert server_pid(folder) != pid


async def test_two_folders_have_two_servers(folder: Path) -> None:
    """Two gateways with folders of their own have servers of their own."""
    async with (
        open_store(None, folder / "a") as ours,
        open_store(None, folder / "b") as theirs,
    ):
        await ours.client.set("kept", "a")
        assert await theirs.client.get("kept") is None


async def test_a_relative_folder_is_resolved_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`RELAY_DATA_DIR=.relay` is in the working directory, and so are its files."""
    monkeypatch.chdir(folder)
    async with open_store(None, Path(".relay")):
        pass
    made = {entry.name for entry in (folder / ".relay" / "valkey").iterdir()}
    assert {"owner.lock", "valkey.log", "appendonlydir"} <= made


async def test_a_short_socket_path_is_in_the_data_folder(deep: Path) -> None:
    """Up to the limit of its length."""
    fits = deep.with_name(deep.name[1:])
    async with embedded_server(fits) as socket:
        assert len(os.fsencode(socket)) == SOCKET_PATH_MAX
        assert socket == fits / "valkey" / "valkey.sock"


async def test_a_folder_with_a_long_path_works(deep: Path) -> None:
    """One byte more: the socket is in a temporary folder, removed afterwards."""
    for n in range(2):
        async with embedded_server(deep) as socket, open_store(f"unix://{socket}", deep) as store:
            assert await store.client.incr("kept") == n + 1
            assert socket.parent.parent == Path(gettempdir())
            assert mode(socket.parent) == 0o700
        assert not socket.parent.exists()


async def test_a_server_that_cannot_start_names_its_log(folder: Path) -> None:
    """A broken append-only file raises at once; the log has the reason."""
    broken = folder / "valkey" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("no manifest\n")
    began = monotonic()
    with pytest.raises(EmbeddedStoreError, match="did not start") as refusal:
        async with embedded_server(folder):
            pass
    assert monotonic() - began < 5
    assert str(folder / "valkey" / "valkey.log") in str(refusal.value)
    assert "manifest" in (folder / "valkey" / "valkey.log").read_text()
    assert servers_on(folder) == []

    shutil.rmtree(broken)
    async with embedded_server(folder):
        assert server_pid(folder)
