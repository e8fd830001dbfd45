"""The published document is valid, and a client generated from it works against a live gateway."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from openapi_spec_validator import validate

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from gateway.cli.main import relay as command
from tests.support.gateways import Relay
from tests.support.target import Target

DOCUMENT = document(ENDPOINTS)
# Preview, execute, replay, and a refusal, through the generated client; what each answered.
CALLS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from generated_client import Client
from generated_client.api.actions import execute, preview
from generated_client.models import ExecuteRequest, PreviewRequest

client = Client(base_url=sys.argv[2])
params = {"url": sys.argv[3], "body": {"n": 1}}
made = preview.sync(client=client, body=PreviewRequest(action="webhook.save", params=params))
asked = ExecuteRequest(preview_id=made.preview_id)
runs = [
    execute.sync_detailed(client=client, body=asked, idempotency_key="order-1") for _ in range(2)
]
gone = execute.sync(client=client, body=ExecuteRequest(preview_id="gone"), idempotency_key="2")
print(json.dumps({
    "preview": type(made).__name__,
    "runs": [run.parsed.run_id for run in runs],
    "replayed": [run.headers.get("Idempotent-Replayed") for run in runs],
    "refusal": [type(gone).__name__, gone.code],
}))
"""


def test_the_document_is_valid() -> None:
    """As openapi-spec-validator sees it, formats of defaults included."""
    validate(msgspec.json.decode(DOCUMENT))


def test_the_command_prints_the_document() -> None:
    """Without a running gateway, so that a release can publish it."""
    assert CliRunner().invoke(command, ["openapi"]).output.strip().encode() == DOCUMENT


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client made by openapi-python-client, which must not warn of anything."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(DOCUMENT)
    (folder / "config.json").write_text(json.dumps({"package_name_override": "generated_client"}))
    made = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("openapi-python-client")), "generate"),
            *("--path", "openapi.json", "--config", "config.json", "--meta", "none"),
            *("--output-path", "client/generated_client", "--fail-on-warning"),
        ],
        cwd=folder,
        # It formats what it made with the ruff that it finds.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning" not in (made.stdout + made.stderr).lower()
    return folder / "client"


async def test_a_generated_client_works(generated: Path, relay: Relay, target: Target) -> None:
    """It previews, executes, replays, and gets a typed problem."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLS, str(generated), str(relay.base_url), target.url),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(printed)
    assert told["preview"] == "PreviewBody"
    assert told["runs"][0] == told["runs"][1]
    assert told["replayed"] == [None, "true"]
    assert told["refusal"] == ["ProblemBody", "preview_not_found"]
    assert len(target.deliveries) == 1
