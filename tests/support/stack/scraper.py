"""Prometheus with deploy/prometheus.yml itself, under a resolv.conf that names the test's DNS.

Where a mount namespace is not allowed, a copy of the file in which only addresses stand for names.
"""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from ruamel.yaml import YAML

from tests.support.gateways import Relay, client, until
from tests.support.stack.files import DEPLOY, installed, services, yaml
from tests.support.stack.replicas import PORT, STATS_PORT, Network, stop

BIND = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def own_resolver(file: Path) -> list[str] | None:
    """A prefix for a command that makes it use the name server in `file`; None if not allowed."""
    command = ["unshare", "--mount", "sh", "-c", BIND, "sh", str(file)]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return command if done.returncode == 0 else None


def with_addresses(net: Network, folder: Path) -> Path:
    """The configuration with addresses instead of discovery."""
    config = yaml(DEPLOY / "prometheus.yml")
    config["rule_files"] = [str(DEPLOY / "alerts.yml")]
    relay, haproxy = config["scrape_configs"]
    del relay["dns_sd_configs"]
    relay["static_configs"] = [{"targets": [f"{each}:{PORT}" for each in net.names["gateway"]]}]
    haproxy["static_configs"] = [{"targets": [f"{net.names['haproxy'][0]}:{STATS_PORT}"]}]
    file = folder / "prometheus.yml"
    YAML().dump(config, file)
    return file


class Prometheus:
    def __init__(self, http: Relay) -> None:
        self._http = http

    async def ask(self, path: str, **params: str) -> Any:
        answer = await self._http.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def ready(self) -> bool:
        try:
            return (await self._http.get("/-/ready")).status_code == 200
        except httpx2.ConnectError:
            return False

    async def targets_up(self) -> list[tuple[str, str]]:
        """Job and address of the targets that answer."""
        targets = (await self.ask("targets"))["activeTargets"]
        return sorted(
            (target["labels"]["job"], target["labels"]["instance"])
            for target in targets
            if target["health"] == "up"
        )


@asynccontextmanager
async def prometheus(net: Network, folder: Path) -> AsyncIterator[Prometheus]:
    with started(net, folder) as url:
        async with client(url) as http:
            yield Prometheus(http)


@contextmanager
def started(net: Network, folder: Path) -> Iterator[str]:
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {net.address(53)}\n")
    prefix = own_resolver(resolver) if net.dns_port == 53 else None
    config = DEPLOY / "prometheus.yml" if prefix else with_addresses(net, folder)
    given = services()["prometheus"]["command"]
    address = f"{net.address(9)}:9090"
    options = [option for option in given if option.startswith(("--enable", "--storage.tsdb.ret"))]
    options += [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(prefix or []),
                *(installed("prometheus"), *options, f"--web.listen-address={address}"),
            ],
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        yield f"http://{address}"
    finally:
        stop(process)


async def scraping(prometheus: Prometheus, count: int) -> None:
    """Run Prometheus, and wait until it has scraped this number of targets."""
    await until(prometheus.ready)

    async def scraped() -> bool:
        return len(await prometheus.targets_up()) == count

    await until(scraped, 15)
