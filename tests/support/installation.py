"""A data directory with a database in it, and `relay audit` that looks at it."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.audit.commands import audit
from stores.audit.chain import Chain
from stores.audit.retention import remove_before
from stores.audit.signatures import SignedHead
from stores.audit_entries import Entry
from stores.sql.database import open_database
from tests.support.chains import NOON, day, rows

KEY = "k" * 32
CHAIN = Chain([KEY.encode()])


class Installation:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"RELAY_DATA_DIR": str(folder), "RELAY_AUDIT_KEY": KEY}

    def run(self, *arguments: str, stdin: str = "", **env: str) -> Result:
        return CliRunner().invoke(audit, arguments, input=stdin, env={**self.env, **env})

    def append(self, entries: Sequence[tuple[str, Entry]], workspace: str = "w") -> None:
        async def append() -> None:
            async with open_database(None, self.folder) as database, database.begin() as connection:
                await CHAIN.append(connection, workspace, entries)

        asyncio.run(append())

    def execute(self, statement: str) -> None:
        async def execute() -> None:
            async with open_database(None, self.folder) as database, database.begin() as connection:
                await connection.execute(statement)

        asyncio.run(execute())

    def remove_before(self, seq: int, workspace: str = "w") -> None:
        """As retention does when that entry is the oldest to be kept."""

        async def remove() -> None:
            async with open_database(None, self.folder) as database:
                at = (await rows(database, workspace))[seq - 1].at
                await remove_before(database, CHAIN, workspace, cutoff_ms=at, now_ms=at)

        asyncio.run(remove())

    def head(self, seq: int, workspace: str = "w") -> SignedHead:
        async def read() -> bytes:
            async with open_database(None, self.folder) as database:
                return (await rows(database, workspace))[seq - 1].mac

        return CHAIN.signed_head(workspace, seq, asyncio.run(read()), NOON)

    def exported(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.run("export", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def installation(migrated_file: Path, tmp_path: Path) -> Installation:
    """Five entries in `w`, two in `other`."""
    shutil.copy(migrated_file, tmp_path / "relay.db")
    made = Installation(tmp_path)
    made.append(day(5))
    made.append(day(2), workspace="other")
    return made


def log_line(head: SignedHead) -> str:
    fields = {"workspace": head.workspace, "seq": head.seq, "mac": head.mac.hex()}
    signed = {"signed_at": head.at, "signature": head.signature.hex()}
    return json.dumps({"timestamp": "…", "event": "audit.head", **fields, **signed})
