"""The API reference in a real browser."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.api.routes import ENDPOINTS
from tests.support.gateways import Relay

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --enable-logging=stderr --v=0
    --virtual-time-budget=10000 --dump-dom""".split()
# swagger-ui-dist 5.35.0 as published.
PUBLISHED = {
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


async def browse(url: str, folder: Path) -> tuple[str, Sequence[str]]:
    """The page as a browser makes it, and what its console says."""
    chromium = shutil.which("chromium")
    assert chromium, "install chromium, as .ci/run does"
    process = await asyncio.create_subprocess_exec(
        *(chromium, *FLAGS, f"--user-data-dir={folder}", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    page, log = await process.communicate()
    return page.decode(), re.findall(r"CONSOLE.*", log.decode(errors="replace"))


async def test_a_browser_shows_every_endpoint(relay: Relay, tmp_path: Path) -> None:
    """Its scripts run under its policy, with nothing on the console."""
    page, console = await browse(f"{relay.base_url}/docs", tmp_path)
    assert console == []
    shown = re.findall(r'data-path="([^"]+)"', page)
    assert {path.replace("\u200b", "") for path in shown} == {one.path for one in ENDPOINTS}


async def test_the_console_is_read(relay: Relay, tmp_path: Path) -> None:
    """What a browser complains of would be seen: here a script that is not there."""
    page = "data:text/html,<script>console.error('seen')</script>"
    _, console = await browse(page, tmp_path)
    assert len(console) == 1


async def test_the_page_allows_scripts_of_relay_alone(relay: Relay) -> None:
    """Styles inline, on this page; scripts from ourselves, and no eval."""
    policy = (await relay.get("/docs")).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_files_are_as_published(name: str) -> None:
    content = files("gateway.api").joinpath("swagger_ui", name).read_bytes()
    assert sha256(content).hexdigest() == PUBLISHED[name]


async def test_programs_are_not_redirected(relay: Relay) -> None:
    """`/` is 404 for a client that does not ask for a page."""
    assert (await relay.get("/")).status_code == 404
    answer = await relay.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (307, "studio/approvals")
