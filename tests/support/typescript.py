"""What checks the types of Studio: npm packages of tests/studio/package-lock.json, run by the Node
of the development lock. `make test-all` installs them.

    python -m tests.support.typescript install | lock | declare
"""

import json
import sys
from pathlib import Path

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from tests.support.npm import Packages

STUDIO = Packages("studio")
FOLDER, PACKAGES, node = STUDIO.folder, STUDIO.installed / "node_modules", STUDIO.node
DECLARATIONS = FOLDER / "openapi.d.ts"


def declare() -> None:
    DECLARATIONS.write_text(declarations())


def declarations() -> str:
    """The bodies of the API as types of TypeScript."""
    described = json.loads(document(ENDPOINTS))
    bodies = {"schemas": described["components"]["schemas"]}
    given = json.dumps({**described, "paths": {}, "components": bodies})
    made = node("openapi-typescript/bin/cli.js", given=given)
    assert made.returncode == 0, made.stderr
    return made.stdout


def problems(project: Path = FOLDER / "tsconfig.json") -> str:
    """What the type check finds; empty if it finds nothing."""
    return node("typescript/bin/tsc", "-p", str(project)).stdout


if __name__ == "__main__":
    {"install": STUDIO.install, "lock": STUDIO.lock, "declare": declare}[sys.argv[1]]()
