"""A client of TypeScript, made from the published document, works against a live gateway.

`make test-all` installs what this needs.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from tests.support.gateways import Relay
from tests.support.npm import NODE
from tests.support.target import Target
from tests.support.typescript import PACKAGES, node, problems

SOURCES = Path(__file__).parent / "typescript"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The calls, and the types that openapi-typescript makes of the whole document."""
    made = node("openapi-typescript/bin/cli.js", given=document(ENDPOINTS).decode())
    assert (made.returncode, made.stderr) == (0, "")
    folder = tmp_path / "project"
    shutil.copytree(SOURCES, folder)
    (folder / "openapi.d.ts").write_text(made.stdout)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(PACKAGES)
    return folder


async def test_a_client_of_typescript_works(project: Path, relay: Relay, target: Target) -> None:
    """It compiles without an error in the strict mode; then it previews, executes and replays."""
    assert problems(project / "tsconfig.json") == ""
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), str(project / "made" / "calls.js"), str(relay.base_url), target.url),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(printed)
    assert told["runs"][0] == told["runs"][1]
    assert (told["status"], told["replayed"]) == ("success", [None, "true"])
    assert told["refusal"][0] == 404
    assert "preview_id" in told["refusal"][1]
    assert [delivery.body for delivery in target.deliveries] == [b'{"n":1}']


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("gone.error.detail", "gone.error.detial"),
        ("first.data.run_id", "first.data.runid"),
        ('"Idempotency-Key"', '"Idempotency-Kye"'),
        ('"/actions/execute", asked', '"/actions/excute", asked'),
    ],
)
def test_a_misspelt_name_does_not_compile(project: Path, right: str, wrong: str) -> None:
    """Of a path, a header, and a member of a run and of a refusal."""
    file = project / "calls.ts"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong, 1))
    assert "calls.ts" in problems(project / "tsconfig.json")
