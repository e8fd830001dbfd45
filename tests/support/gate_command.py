"""Run `relay gate` as its users do."""

import json
from typing import Any

from click.testing import CliRunner, Result

from gateway.cli.main import relay


def run(url: str | None, *arguments: str) -> Result:
    wide = {"COLUMNS": "200", "NO_PROXY": "127.0.0.1"}
    asked = [] if url is None else ["--prometheus", url]
    return CliRunner().invoke(relay, ["gate", *asked, *arguments], env=wide)


def told(url: str, *arguments: str) -> dict[str, Any]:
    """What it tells machines."""
    result = run(url, "--json", *arguments)
    answer: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == answer["exit_status"]
    return answer
