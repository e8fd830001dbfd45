"""The scanner finds what it looks for, and names it without showing it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply.__main__ import ROOT, secrets

# Put together here, so that the scan of this tree does not find them.
TOKENS = {
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub Token": "ghp_" + "a" * 36,
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "Slack Token": "xoxb-" + "1" * 12 + "-" + "a" * 24,
    "Stripe Access Key": "sk_live_" + "a" * 24,
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_found_and_not_shown(kind: str) -> None:
    (found,) = secrets([("file:1", f'x = "{TOKENS[kind]}"')])
    assert found == f"file:1: {kind}"


@pytest.mark.parametrize(
    "line",
    [
        'REDIS = "redis://user:hunter2@localhost:6379/0"',
        "    --hash=sha256:15d6eee7d4364fbc202833bc6bd0d504004d8ae7c0aaf620fa884d8e437622f2 \\",
        "rly_live_ and whsec_ are the prefixes of Relay's own secrets",
    ],
)
def test_text_that_is_no_token_passes(line: str) -> None:
    assert [*secrets([("file:1", line)])] == []


@pytest.mark.slow
def test_the_bill_of_materials_lists_what_runs(tmp_path: Path) -> None:
    """The command of `make sbom` writes CycloneDX with the packages of requirements/run.lock."""
    out, lock = tmp_path / "sbom.json", str(ROOT / "requirements" / "run.lock")
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", lock, "--of", "JSON"]
    subprocess.run([*command, "-o", str(out)], check=True, timeout=60, capture_output=True)
    bill = json.loads(out.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    names = {component["name"] for component in bill["components"]}
    assert names >= {"starlette", "msgspec", "redis", "cryptography"}
