"""Start what is measured on its own core, and read what it has used from /proc."""

import os
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection, socket
from time import monotonic, sleep

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
START_PATIENCE = 60.0
STOP_PATIENCE = 40.0


class Process:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = Path(f"/proc/{pid}")

    def cpu_seconds(self) -> float:
        """Of all threads, ended ones included, in steps of a tick (10 ms)."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        return int((self._folder / "statm").read_text().split()[1]) * PAGE / 1e6

    def descriptors(self) -> int:
        return sum(1 for _ in (self._folder / "fd").iterdir())

    def threads(self) -> int:
        return sum(1 for _ in (self._folder / "task").iterdir())


def free_port() -> int:
    """Below the range that the kernel gives out, so that no other socket gets it meanwhile."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def started(
    command: Sequence[str],
    port: int,
    *,
    cores: set[int],
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> Iterator[Process]:
    """Run a command while the block lasts; entered when its port answers."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **env},
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, cores)
    try:
        _answers(process, port)
        yield Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], port: int) -> None:
    until = monotonic() + START_PATIENCE
    while process.poll() is None and monotonic() < until:
        try:
            create_connection(("127.0.0.1", port), timeout=0.1).close()
        except OSError:
            sleep(0.02)
            continue
        return
    raise RuntimeError(f"{process.args!r} did not start")
