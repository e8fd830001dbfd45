"""Paths and contents of the stack's files."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "docker-compose.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "relay.json"


def yaml(path: Path) -> Any:
    """The document. A duplicate key is an error."""
    return YAML(typ="safe").load(path)


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml(COMPOSE)["services"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def dashboard_queries() -> Iterator[str]:
    """Every PromQL expression of the dashboard, as Grafana would send it."""
    document = json.loads(DASHBOARD.read_text())
    parts = [target for panel in panels() for target in panel.get("targets", [])]
    for part in parts + document["annotations"]["list"]:
        if part["datasource"]["type"] == "prometheus":
            yield part["expr"].replace("$__rate_interval", "20s")


def rules() -> list[dict[str, Any]]:
    groups = yaml(DEPLOY / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def installed(program: str) -> str:
    """The path of a program of Debian; without it the test is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (apt-get install haproxy prometheus)")
    return path


def run(program: str, *arguments: str | Path) -> str:
    """The output of a command. A failure of it fails the test."""
    command = [installed(program), *arguments]
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
