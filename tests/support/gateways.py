"""Gateways for tests: in this process, or as processes of their own that can be killed."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from gateway.cli.serve import GatewayServer
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.http.server import running

LOOPBACK = (ip_network("127.0.0.0/8"),)
SIGNING_KEY = b"test-signing-key"
# Enough for any test that is not about limits.
PLENTY = 1_000_000

LIMITS = ("RATE_LIMIT_PREVIEW", "RATE_LIMIT_EXECUTE")


def unsigned(workspace: str) -> Sequence[bytes]:
    return ()


class Relay(httpx2.AsyncClient):
    """A client that knows the two calls."""

    async def preview(self, url: str, body: Any = None, **params: Any) -> httpx2.Response:
        params = {"url": url, "body": {"test": "hello"} if body is None else body, **params}
        asked = {"action": "webhook.save", "params": params}
        return await self.post("/actions/preview", json=asked)

    async def preview_id(self, url: str) -> str:
        """A busy machine may starve a gateway for 5 s, which then reads its keys again first."""
        response = await self.preview(url)
        while response.status_code == 503 and "suspended" in response.json()["detail"]:
            await asyncio.sleep(float(response.headers["Retry-After"]))
            response = await self.preview(url)
        assert response.status_code == 200, response.text
        return str(response.json()["preview_id"])

    async def execute(
        self, preview_id: str, key: str | None = None, *, wait: int | None = None
    ) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        headers |= {} if wait is None else {"Prefer": f"wait={wait}"}
        asked = {"preview_id": preview_id}
        return await self.post("/actions/execute", json=asked, headers=headers)


# No test speaks TLS here; loading the authorities takes a client 20 ms.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(url: str) -> Relay:
    limits = httpx2.Limits(max_connections=None)
    return Relay(base_url=url, timeout=40, trust_env=False, limits=limits, verify=NO_AUTHORITIES)


def settings(redis_url: str, folder: Path, **given: Any) -> Settings:
    """Those of tests, where nothing else is given: loopback may be reached, with no limits."""
    defaults: dict[str, Any] = {
        "redis_url": Secret(redis_url.encode()),
        "data_dir": folder,
        "egress_networks": LOOPBACK,
        "signing_secrets": (Secret(SIGNING_KEY),),
        "preview_limit": PLENTY,
        "execute_limit": PLENTY,
        "runs_at_once": PLENTY,
        "runs_at_once_per_target": PLENTY,
    }
    return Settings(**{**defaults, **given})


@asynccontextmanager
async def gateway(redis_url: str, **given: Any) -> AsyncIterator[Relay]:
    """A gateway in this process on its own port, and its client."""
    with TemporaryDirectory(prefix="relay-test-") as folder:
        server = GatewayServer(settings(redis_url, Path(folder), **given), host="127.0.0.1", port=0)
        async with running(server) as url, client(url) as relay:
            yield relay


def unmeasured() -> dict[str, str]:
    """Our environment without what makes a process measure its coverage: that triples what a
    request costs, and tests in this process cover the same.
    """
    names = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
    return {name: value for name, value in os.environ.items() if name not in names}


class GatewayProcess:
    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def kill(self) -> None:
        """As a crash would: no clean-up of any kind."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def gateway_process(env: Mapping[str, str]) -> Iterator[GatewayProcess]:
    """`relay serve` as its users start it; entered when it has said where it listens."""
    folder = TemporaryDirectory(prefix="relay-test-")
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--port", "0"],
        env={
            **unmeasured(),
            "EGRESS_ALLOW": "127.0.0.0/8",
            "STOP_DELAY": "0",
            "RELAY_DATA_DIR": folder.name,
            **dict.fromkeys(LIMITS, str(PLENTY)),
            **env,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        first = process.stdout.readline()
        assert first.startswith("Relay listens on "), first
        yield GatewayProcess(process, first.split()[3])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)
        folder.cleanup()


async def until(holds: Any, patience: float = 30.0) -> None:
    """Wait for a condition that no event tells of. Raises TimeoutError."""
    async with asyncio.timeout(patience):
        while not await holds():
            await asyncio.sleep(0.01)
