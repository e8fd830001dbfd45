"""Start what is measured, each on its own core, and read what it has used."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket
from time import monotonic

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
START_PATIENCE = 15.0


class Process:
    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def cpu_seconds(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        return int((self._folder / "statm").read_text().split()[1]) * PAGE / 1e6


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    arguments: list[str], port: int, *, core: int, env: Mapping[str, str]
) -> Iterator[Process]:
    """Run a Python module while the block lasts; entered when its port answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        _answers(process, port)
        yield Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(process: subprocess.Popen[bytes], port: int) -> None:
    until = monotonic() + START_PATIENCE
    while process.poll() is None and monotonic() < until:
        try:
            create_connection(("127.0.0.1", port), timeout=0.1).close()
        except OSError:
            continue
        return
    raise RuntimeError(f"{process.args!r} did not start")
