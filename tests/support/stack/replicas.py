"""The stack without containers: gateways, HAProxy and Prometheus with the files of deploy/.

Each part has a loopback address of its own, and the ports of docker-compose.yml.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from tests.support.gateways import LIMITS, PLENTY, SIGNING_KEY, unmeasured
from tests.support.keyed import put_database
from tests.support.stack.files import DEPLOY, installed, services
from tests.support.stack.names import name_server

PORT = 8000
STATS_PORT = 8405
STOP_DELAY = services()["gateway"]["environment"]["STOP_DELAY"]


class Network:
    """Addresses that no other test process uses, and the names of those in use."""

    def __init__(self) -> None:
        number = os.getpid()
        self.prefix = f"127.{64 + (number >> 8) % 128}.{number % 256}"
        self.names: dict[str, list[str]] = {"gateway": [], "haproxy": [self.address(4)]}
        self.unused = map(self.address, range(10, 50))
        self.dns_port = 0

    def address(self, last: int) -> str:
        return f"{self.prefix}.{last}"

    @contextmanager
    def named(self) -> Iterator["Network"]:
        with name_server(self.address(53), self.names) as self.dns_port:
            yield self


@contextmanager
def network() -> Iterator[Network]:
    with Network().named() as opened:
        yield opened


class Replica:
    def __init__(self, address: str, process: subprocess.Popen[str]) -> None:
        self.address, self.process = address, process

    def kill(self) -> None:
        """End it like a crash."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start(address: str, redis_url: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start `relay serve` as in its image, with the settings of docker-compose.yml that a test
    needs.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--host", address, "--port", str(PORT)],
        env={
            **unmeasured(),
            "REDIS_URL": redis_url,
            "EGRESS_ALLOW": "127.0.0.0/8",
            "ACTIONS_SIGNING_SECRET": SIGNING_KEY.decode(),
            "STOP_DELAY": STOP_DELAY,
            **dict.fromkeys(LIMITS, str(PLENTY)),
            **env,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def stop(process: subprocess.Popen[str]) -> None:
    """Kill it at once; nothing of it is needed."""
    process.kill()
    process.communicate(timeout=10)


@contextmanager
def replicas(net: Network, redis_url: str, **env: str) -> Iterator[list[Replica]]:
    """Three gateways over one database, which listen and which DNS knows as `gateway`."""
    addresses = [net.address(last) for last in (1, 2, 3)]
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="relay-test-"))
        put_database(Path(folder))
        env = {"RELAY_DATA_DIR": folder, **env}
        started = [Replica(each, start(each, redis_url, env)) for each in addresses]
        for replica in started:
            stack.callback(stop, replica.process)
        for replica in started:
            assert replica.process.stdout
            first = replica.process.stdout.readline()
            assert first.startswith("Relay listens on "), first
        net.names["gateway"] = addresses
        yield started


def wait_for_listener(process: subprocess.Popen[str], address: str, port: int) -> None:
    while process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection((address, port)):
            return
        sleep(0.01)
    raise RuntimeError("it ended before it listened")


class Proxy:
    """`url`: Relay for callers. `stats`: the metrics of HAProxy."""

    def __init__(self, net: Network, log: Path) -> None:
        address = net.names["haproxy"][0]
        self.url, self.stats = f"http://{address}:{PORT}", f"http://{address}:{STATS_PORT}"
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        """One line a request, oldest first. HAProxy's own messages are no JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line[:1] == "{"]

    def line(self, request_id: str) -> dict[str, Any] | None:
        found = [line for line in self.lines() if line["request_id"] == request_id]
        return found[-1] if found else None


@contextmanager
def proxy(net: Network, folder: Path, config: Path = DEPLOY / "haproxy.cfg") -> Iterator[Proxy]:
    """HAProxy with the stack's own file. It finds replicas in the DNS of `net`."""
    address, log = net.names["haproxy"][0], folder / "haproxy.log"
    env = {
        "LISTEN": f"{address}:{PORT}",
        "LISTEN_STATS": f"{address}:{STATS_PORT}",
        "RESOLVER": f"{net.address(53)}:{net.dns_port}",
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            [installed("haproxy"), "-db", "-f", config],
            env={**os.environ, **env},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            for port in (PORT, STATS_PORT):  # it opens one after the other
                wait_for_listener(process, address, port)
            yield Proxy(net, log)
        finally:
            stop(process)
