"""The embedded server of a gateway process, seen from outside."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis


@contextmanager
def data_dir() -> Iterator[Path]:
    """A folder for RELAY_DATA_DIR. Not tmp_path: a unix socket's path must be short."""
    with TemporaryDirectory(prefix="relay-data-") as folder:
        yield Path(folder)


def server_pid(folder: Path) -> int:
    with Redis(unix_socket_path=str(folder / "valkey" / "valkey.sock"), socket_timeout=5) as client:
        return int(client.info("server")["process_id"])


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not."""
    with suppress(FileNotFoundError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def servers_on(folder: Path) -> list[int]:
    """The server processes of any user that work in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder.resolve() / "valkey":
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid() and alive(pid)]
