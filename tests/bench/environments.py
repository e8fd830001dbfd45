"""Environments that are no part of Relay's: those of its peers, and that of another commit.

They are kept in `.bench`, which git ignores, under the digest of what they were made of.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.bench.machine import commit
from tests.bench.subjects import ROOT, Tree

CACHE = ROOT / ".bench"
PEERS = Path(__file__).parent / "peers"
PIP = ("-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check")


class Unavailable(Exception):
    """This machine cannot run a peer; the message names what is missing."""


def python_of(peer: str) -> Path:
    """The Python of a virtual environment with the packages of the peer's lock."""
    lock = PEERS / f"{peer}.lock"
    folder = _folder(peer, lock)
    if not (folder / "whole").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        install = [*PIP, "install", "--no-deps", "--require-hashes", "-r", str(lock)]
        _run([str(folder / "bin" / "python"), *install])
        (folder / "whole").touch()
    return folder / "bin" / "python"


def restate_server() -> Path:
    """The server of Restate, out of its package for npm. Raises Unavailable."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("Restate needs npm, whose package carries its server")
    source = PEERS / "restate-server"
    folder = _folder("restate-server", source / "package-lock.json")
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        _run([npm, "ci", "--silent", "--ignore-scripts"], cwd=folder)
        (folder / "whole").touch()
    found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise Unavailable("Restate has no server for this platform")
    return found[0]


def tree_of(base: str) -> Tree:
    """A worktree of another commit, with the environment that its own locks describe."""
    found = commit(base)
    folder = CACHE / f"base-{found[:12]}"
    if not folder.exists():
        _run(["git", "worktree", "add", "--force", "--detach", str(folder), found], cwd=ROOT)
    _run(["make", "--silent", ".venv/installed"], cwd=folder)
    return Tree(folder, str(folder / ".venv" / "bin" / "python"))


def _folder(name: str, lock: Path) -> Path:
    CACHE.mkdir(exist_ok=True)
    return CACHE / f"{name}-{sha256(lock.read_bytes()).hexdigest()[:12]}"


def _run(command: list[str], cwd: Path | None = None) -> None:
    """Run a command whose output is for the person who waits."""
    subprocess.run(command, cwd=cwd, check=True, stdout=sys.stderr)
