"""A real Prometheus: it scrapes live targets, and holds a past that a test has written."""

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

START_PATIENCE = 20.0
EVERY = 15
# Two windows of a quarter of an hour, and the look back of five minutes.
LENGTH = 40 * 60

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool (Debian: prometheus) are not installed",
)

# What is counted: by every scrape, or once in a minute of the clock that is so many minutes ago.
Count = float | Callable[[int], float]


def once(*minutes: int, by: float = 1) -> Count:
    return lambda ago: by if ago in minutes else 0


class History:
    """Scrapes of the last 40 minutes, one every 15 s, by job and replica.

    `ahead`: seconds that it goes on into the future, so that a test may come late.
    """

    def __init__(self, *, ahead: int = 0) -> None:
        self._now = math.floor(time.time() / EVERY) * EVERY
        self._ahead = ahead
        self._lines: list[str] = []

    def replica(
        self,
        job: str,
        counters: Mapping[str, Count],
        gauges: Mapping[str, Count],
        *,
        instance: str = "10.0.0.1:8000",
        minutes: int = LENGTH // 60,
    ) -> None:
        """A counter appears with its first count, as prometheus_client's labels do."""
        labels = f'job="{job}",instance="{instance}"'
        times = range(self._now - minutes * 60, self._now + self._ahead + 1, EVERY)
        for name, count in counters.items():
            value = 0.0
            for at in times:
                value += self._counted(count, at)
                if value:
                    self.write(name, labels, value, at)
        for name, count in gauges.items():
            for at in times:
                value = count(self._ago(at)) if callable(count) else count
                self.write(name, labels, value, at)

    def _ago(self, at: int) -> int:
        return self._now // 60 - at // 60

    def _counted(self, count: Count, at: int) -> float:
        if not callable(count):
            return count
        return count(self._ago(at)) if at % 60 == 30 else 0

    def write(self, name: str, labels: str, value: float, at: float) -> None:
        metric, _, own = name.removesuffix("}").partition("{")
        own = f"{own}," if own else ""
        self._lines.append(f"{metric}{{{own}{labels}}} {value!r} {at}")

    def save(self, folder: Path) -> None:
        """As blocks of Prometheus's own store."""
        text = folder / "history.txt"
        text.write_text("\n".join([*self._lines, "# EOF", ""]))
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q"]
        subprocess.run([*command, text, folder / "data"], check=True, capture_output=True)


@contextmanager
def prometheus(
    folder: Path, *, targets: Mapping[str, list[str]] | None = None, history: History | None = None
) -> Iterator[str]:
    """Its URL. `targets`: host:port by job, scraped every second."""
    if history:
        history.save(folder)
    scraped = [
        {"job_name": job, "static_configs": [{"targets": addresses}]}
        for job, addresses in (targets or {}).items()
    ]
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config = folder / "prometheus.yml"  # JSON is YAML
    config.write_text(json.dumps({"global": pace, "scrape_configs": scraped}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        command = ["prometheus", *options, f"--web.listen-address={address}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(f"http://{address}", process, folder / "prometheus.log")
        yield f"http://{address}"
    finally:
        # Its data is thrown away: there is nothing to end in good order.
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_PATIENCE
    with httpx2.Client(trust_env=False) as client:
        while time.monotonic() < until and process.poll() is None:
            with suppress(httpx2.HTTPError):
                if client.get(f"{url}/-/ready").status_code == 200:
                    return
            time.sleep(0.02)
    raise RuntimeError(f"Prometheus did not start: {log.read_text()}")
