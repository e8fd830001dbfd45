"""`make` installs what the locks name, whatever an index offers besides."""

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The pip that `python -m venv` brings, and the newest, which the lock of the tests names.
PIPS = {"bundled": ".venv/bin/python -m pip", "newest": f"{sys.executable} -m pip"}


def wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """A package of one module that says its version."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Provides-Extra: fast\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(member, text)
    return path


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def pin(path: Path) -> str:
    name, version, *_ = path.name.split("-")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A Makefile, locks that name version 1 of everything, and an index with a version 2.

    `plugin` needs `core[fast]` without an upper bound: what broke the installation once.
    """
    index, locks = tmp_path / "index", tmp_path / "requirements"
    index.mkdir()
    locks.mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    core = wheel(index, "core", "1.0")
    plugin = wheel(index, "plugin", "1.0", "core[fast]>=1.0")
    builder = wheel(index, "builder", "1.0")
    wheel(index, "core", "2.0")
    wheel(index, "plugin", "2.0", "core[fast]>=2.0")
    wheel(index, "builder", "2.0")
    (locks / "run.lock").write_text(pin(core) + pin(plugin))
    (locks / "build.lock").write_text(pin(builder))
    return tmp_path


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env=offline(checkout / "index"),
        capture_output=True,
        text=True,
        check=False,
    )


def offline(index: Path) -> Mapping[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
    }


@pytest.mark.parametrize("pip", PIPS)
def test_an_index_with_newer_versions_changes_nothing(checkout: Path, pip: str) -> None:
    """The installation gives the versions that the locks name."""
    command = PIPS[pip] if pip == "bundled" else f"{PIPS[pip]} --python .venv/bin/python"
    result = make(checkout, ".venv/locked", f"PYTHON={sys.executable}", f"PIP={command}")
    assert result.returncode == 0, result.stderr
    python = checkout / ".venv/bin/python"
    shown = subprocess.check_output(
        [
            python,
            "-c",
            "import core, plugin, builder as b; print(core.VERSION, plugin.VERSION, b.VERSION)",
        ],
        text=True,
    )
    assert shown.split() == ["1.0", "1.0", "1.0"]


def test_a_wheel_with_another_digest_is_refused(checkout: Path) -> None:
    """The lock names bytes, not only versions."""
    wheel(checkout / "index", "core", "1.0", "plugin")
    result = make(checkout, ".venv/locked", f"PYTHON={sys.executable}")
    assert result.returncode != 0
    assert "DO NOT MATCH THE HASHES" in result.stderr


@pytest.mark.parametrize(
    ("refuses", "message"),
    [
        ("version_info", "Relay needs Python 3.11 or newer; try: make PYTHON=python3.11"),
        ("venv", "This Python lacks venv; on Debian: apt-get install python3-venv"),
    ],
)
def test_what_python_lacks_is_one_line(checkout: Path, refuses: str, message: str) -> None:
    """A Python that is too old or has no venv is named before anything is installed."""
    python = checkout / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in *{refuses}*) exit 1 ;; esac\n')
    python.chmod(0o755)
    result = make(checkout, "run", f"PYTHON={python}")
    assert result.stderr.splitlines()[0] == message
    assert not (checkout / ".venv").exists()
