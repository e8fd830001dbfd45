"""One new thing is written down in one or two files: shown on copies of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent


class Addition(NamedTuple):
    """`edits`: file, a line there, and what is put before it. `proof`: a program that fails unless
    the new thing works.
    """

    edits: tuple[tuple[str, str, str], ...]
    proof: str


ADDITIONS = {
    "endpoint": Addition(
        (
            (
                "gateway/api/system.py",
                "async def health(",
                "async def ping(request: Request[State]) -> Response:\n"
                '    return json_response(HealthBody(request_id="r"))\n\n\n',
            ),
            (
                "gateway/api/routes.py",
                ")\n\nPROBES",
                '    Endpoint(method="GET", path="/ping", handler=system.ping, scope="runs:read",\n'
                '        summary="Ping", probe=True,\n'
                "        response=system.HealthBody),\n",
            ),
        ),
        """
import json
from gateway.api.openapi import document
from gateway.api.router import Router
from gateway.api.routes import ENDPOINTS, PROBES
assert "/ping" in PROBES
assert set(Router(ENDPOINTS, None)._paths["/ping"]) == {"GET", "HEAD"}
operation = json.loads(document(ENDPOINTS))["paths"]["/ping"]["get"]
assert operation["security"][0] == {"api_key": ["runs:read"]}
assert {"200", "401", "403"} <= operation["responses"].keys()
""",
    ),
    "setting": Addition(
        (
            (
                "gateway/config/settings.py",
                "    webhook_url: str | None",
                '    greeting: str = "hello"\n',
            ),
            (
                "gateway/config/variables.py",
                '    "WEBHOOK_URL"',
                '    "GREETING": Variable(\n'
                '        "greeting", parsers.choice("hello", "hi"), "hello or hi"),\n',
            ),
        ),
        """
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
assert Settings.from_env({"GREETING": "hi"}).greeting == "hi"
try:
    Settings.from_env({"GREETING": "bye"})
except SettingsError as error:
    assert str(error) == "GREETING is 'bye'; it may hold hello or hi"
else:
    raise AssertionError("it was taken")
""",
    ),
    "refusal": Addition(
        (
            (
                "gateway/problems.py",
                "class RunExpired(",
                "class TooEarly(Problem):\n"
                '    status, title = 425, "The request came too early"\n\n\n',
            ),
        ),
        """
from gateway.http.responses import problem_response
from gateway.problems import TooEarly
answer = problem_response(TooEarly("Wait.", headers={"Retry-After": "1"}), "r-1")
assert answer.status_code == 425
assert b'"code":"too_early"' in answer.body
""",
    ),
    "check of /ready": Addition(
        (
            (
                "gateway/api/readiness.py",
                "def keys_check(",
                "def moon_check() -> Check:\n"
                '    return Check("moon", "failed", "it is full")\n\n\n',
            ),
            (
                "gateway/opening.py",
                "    strict = settings.production\n",
                "    checks.append(moon_check)\n",
            ),
            (
                "gateway/opening.py",
                "from gateway.telemetry import",
                "from gateway.api.readiness import moon_check\n",
            ),
        ),
        """
import asyncio, tempfile
from pathlib import Path
from gateway.opening import open_gateway
from gateway.config.settings import Settings
async def ready():
    with tempfile.TemporaryDirectory() as folder:
        async with open_gateway(Settings(data_dir=Path(folder))) as state:
            return await state["readiness"].checks()
assert ("moon", "failed", "it is full") in asyncio.run(ready())
""",
    ),
}


@pytest.mark.parametrize("addition", ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_touches_at_most_two_files(addition: Addition, tmp_path: Path) -> None:
    """The copy with these edits, and no others, does the new thing."""
    for package in ("gateway", "stores"):
        ignored = shutil.ignore_patterns("__pycache__", "swagger_ui")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    for file, line, text in addition.edits:
        source = (tmp_path / file).read_text()
        assert source.count(line) == 1, (file, line)
        (tmp_path / file).write_text(source.replace(line, text + line))
    assert len({file for file, _, _ in addition.edits}) <= 2
    proof = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.')\n{addition.proof}"]
    done = subprocess.run(proof, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
