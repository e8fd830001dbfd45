"""A real Valkey that a test can stop, pause and start again on the same data."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from time import monotonic

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from stores.redis.scripts import Scripts
from stores.redis.server.embedded import server_binary

START_PATIENCE = 10.0
# Fifty concurrent connections take seconds on a busy machine.
PATIENCE = 30.0


class SeparableScripts(Scripts):
    """Scripts that end their line with those that were made beside them."""

    def __init__(self, client: "AsyncRedis") -> None:
        super().__init__(client, patience=PATIENCE)
        self.others: list[Scripts] = []

    async def close(self) -> None:
        await super().close()
        for other in self.others:
            await other.close()


def separate_scripts(scripts: Scripts) -> Scripts:
    """Scripts with a line of their own, like those of another process."""
    assert isinstance(scripts, SeparableScripts)
    scripts.others.append(Scripts(scripts._client, patience=PATIENCE))
    return scripts.others[-1]


class Valkey:
    """`url` stays the same over restarts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "v.sock"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                server_binary(),
                *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
                *("--maxmemory-policy", "noeviction", "--logfile", "valkey.log"),
                *self._options,
            ]
        )
        until = monotonic() + START_PATIENCE
        with self.client() as client:
            while monotonic() < until:
                with suppress(RedisError):
                    client.ping()
                    return
        raise RuntimeError("Valkey did not start")

    def client(self) -> "Redis":
        return Redis(unix_socket_path=str(self.socket), socket_timeout=5)

    def async_client(self) -> "AsyncRedis":
        return AsyncRedis(unix_socket_path=str(self.socket), socket_timeout=5)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        if self._process:
            self._process.wait()

    def pause(self) -> None:
        """Accept connections without answering."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)
