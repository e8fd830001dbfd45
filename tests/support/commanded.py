"""Commands as they are typed, on a data directory of their own."""

import json
import shutil
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from gateway.cli.admin.channels import channels
from gateway.cli.admin.connections import connections
from gateway.cli.admin.keys import keys
from gateway.cli.admin.signing_secrets import secrets
from gateway.cli.admin.workspaces import workspaces
from gateway.cli.migrate import migrate

RELAY = click.Group(commands=[channels, connections, keys, migrate, secrets, workspaces])
# What another test or a developer's own shell has set.
UNSET = dict.fromkeys(
    """RELAY_ENV DATABASE_URL REDIS_URL
    RELAY_KEY_PEPPER RELAY_AUDIT_KEY RELAY_ENCRYPTION_KEY""".split()
)


class Typed:
    """`typed("keys", "list")`: what comes of it."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self._env: dict[str, str | None] = {**UNSET, "RELAY_DATA_DIR": str(folder), **env}

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(RELAY, list(words), env=self._env, input=stdin)

    def well(self, *words: str, stdin: str | None = None) -> Result:
        done = self(*words, stdin=stdin)
        assert done.exit_code == 0, done.output
        return done

    def json(self, *words: str, stdin: str | None = None) -> Any:
        return json.loads(self.well(*words, "--json", stdin=stdin).stdout)

    def declined(self, *words: str, stdin: str | None = None) -> str:
        """The one line that says why not; exit status 1."""
        done = self(*words, stdin=stdin)
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("Error: ").rstrip()


def typed(migrated_file: str, folder: Path, **env: str) -> Typed:
    """On a database with nothing in it."""
    shutil.copy(migrated_file, folder / "relay.db")
    return Typed(folder, **env)
