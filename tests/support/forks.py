"""Gateways and commands as processes that can be killed, many of them cheaply. One process loads
their modules and forks on request: 0.1 s a gateway instead of 0.7 s. Each fork runs `relay` with
its own environment, like a user.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from gateway.cli.main import relay
from tests.support.gateways import unmeasured, until

# Modules that a gateway or a command loads when it needs them.
LOADED = "asyncpg stores.sql.drivers.postgresql gateway.http.server".split()
DEVELOPMENT = {"EGRESS_ALLOW": "127.0.0.0/8", "STOP_DELAY": "0", "TELEMETRY_ENABLED": "false"}


class Fork:
    """A forked process. `url`: where a gateway listens."""

    def __init__(self, forks: "Forks", pid: int, output: Path) -> None:
        self._forks, self.pid, self._output = forks, pid, output
        self.ended = False
        self.url = ""

    async def printed(self) -> str:
        """Everything it has printed, once there is a line."""

        async def a_line() -> bool:
            return "\n" in self._output.read_text()

        await until(a_line)
        return self._output.read_text()

    def kill(self) -> None:
        """Kill it without any clean-up, like a crash. Returns when it is gone."""
        if not self.ended:
            self.ended = True
            os.kill(self.pid, signal.SIGKILL)
            self._forks.ask(wait=self.pid)


class Forks:
    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder
        self._count = 0

    def ask(self, **asked: object) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, *words: str, env: Mapping[str, str]) -> Fork:
        self._count += 1
        output = self._folder / str(self._count)
        output.touch()
        environ = {**unmeasured(), **DEVELOPMENT, **env}
        pid = self.ask(words=words, environ=environ, output=str(output))
        return Fork(self, pid, output)

    @asynccontextmanager
    async def gateway(self, env: Mapping[str, str]) -> AsyncIterator[Fork]:
        """Run a gateway in the block, from when it names its address; kill it at the end."""
        fork = self.start("serve", "--port", "0", env=env)
        try:
            fork.url = (await fork.printed()).split()[3]
            yield fork
        finally:
            fork.kill()

    async def command(self, *words: str, env: Mapping[str, str]) -> str:
        """Run a command, which must succeed; returns its output."""
        fork = self.start(*words, env=env)
        status = await asyncio.to_thread(self.ask, wait=fork.pid)
        assert status == 0, words
        return await fork.printed()


@contextmanager
def forking() -> Iterator[Forks]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=unmeasured(),
    )
    with TemporaryDirectory(prefix="relay-test-") as folder, process:
        yield Forks(process, Path(folder))
        assert process.stdin
        process.stdin.close()


def _forked(words: list[str], environ: dict[str, str], output: str) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.environ.clear()
        os.environ.update(environ)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), 1)
        relay(words, standalone_mode=False)
        status = 0
    except BaseException as error:  # noqa: BLE001 - what it is must not go on as its parent
        click.echo(f"{type(error).__name__}: {error}", err=True)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _serve() -> None:
    """Read JSON lines, each with a command to run or a process to wait for; answer with a
    number.
    """
    for module in LOADED:
        import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = os.waitpid(asked["wait"], 0)[1] if "wait" in asked else _forked(**asked)
        click.echo(answer)


if __name__ == "__main__":
    _serve()
