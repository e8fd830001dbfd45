"""A wheel in an environment of its own, without Node, serves Studio to a browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from playwright.async_api import expect

from gateway.studio.pages import web
from tests.support.browsing import Watched, chromium

ROOT = Path(__file__).parent.parent.parent
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A new environment with what the lock names and the wheel of this tree; its commands."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    commands = tmp_path / "env" / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    lock = ["--require-hashes", "-r", str(ROOT / "requirements" / "run.lock")]
    subprocess.run([commands / "python", *PIP, *lock], cwd=tmp_path, check=True)
    subprocess.run([commands / "python", *PIP, str(wheel)], cwd=tmp_path, check=True)
    return commands


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a gateway that this environment runs; it finds no command but its own."""
    assert which("node", path=str(installed)) is None
    with subprocess.Popen(
        [installed / "relay", "serve", "--port", "0"],
        cwd=tmp_path,
        env={"PATH": str(installed), "STOP_DELAY": "0", "RELAY_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[3]
        finally:
            process.terminate()


@pytest.mark.timeout(300)
async def test_the_wheel_serves_studio(served: str) -> None:
    """The files of this tree, without a build."""
    async with chromium() as browser:
        watched = Watched(browser, served)
        page = await watched.page()
        await page.goto("/")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")
        file = await page.evaluate("document.querySelector('script[type=module]').src")
        assert file == f"{served}/studio/a/{web().version}/main.js"
        assert watched.complaints == []
