"""The environment of the agents in tests/flows/agents: packages that Relay's own lacks.

`make test-all` installs it: python -m tests.support.agents
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
AGENTS = ROOT / "tests" / "flows" / "agents"
LOCK = AGENTS / "packages.lock"
INSTALLED = Path(sys.prefix) / "agents"
PYTHON = INSTALLED / "bin" / "python"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")


def install() -> None:
    """Exactly what the lock names."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(INSTALLED)], check=True)
    subprocess.run([str(PYTHON), *PIP, "--require-hashes", "-r", str(LOCK)], check=True)


async def agent(program: str, *words: str) -> Any:
    """Run an agent with the client of this tree; what it prints, from JSON."""
    assert PYTHON.exists(), "make test-all installs the packages"
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON), str(AGENTS / program), *words),
        env={**os.environ, "PYTHONPATH": str(ROOT / "deploy" / "client")},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(printed)


if __name__ == "__main__":
    install()
