"""The approval policies of workspaces: every version stays, the newest is in force."""

from typing import NamedTuple

from stores.sql.drivers.connection import Connection
from stores.sql.tables import POLICIES
from stores.sql.workspaces import bump


class PolicyRow(NamedTuple):
    """A row of the table `policies`. `text` is empty where the policy was removed. `created_by`:
    the id of a key, or `cli`. Times are epoch milliseconds.
    """

    workspace: str
    version: int
    digest: str
    text: str
    created_by: str
    created_at: int


async def in_force(connection: Connection) -> dict[str, PolicyRow]:
    """The newest policy of each workspace that has one."""
    newest = "SELECT workspace, max(version) FROM policies GROUP BY workspace"
    rows = await connection.fetch(f"{POLICIES.select}WHERE (workspace, version) IN ({newest})")
    return {row.workspace: row for row in (PolicyRow(*each) for each in rows)}


async def find(connection: Connection, workspace: str) -> PolicyRow | None:
    """The newest policy of a workspace, also one that was removed."""
    which = "WHERE workspace = $1 ORDER BY version DESC LIMIT 1"
    rows = await connection.fetch(POLICIES.select + which, workspace)
    return PolicyRow(*rows[0]) if rows else None


async def find_version(connection: Connection, workspace: str, version: int) -> PolicyRow | None:
    which = "WHERE workspace = $1 AND version = $2"
    rows = await connection.fetch(POLICIES.select + which, workspace, version)
    return PolicyRow(*rows[0]) if rows else None


async def add(connection: Connection, row: PolicyRow) -> None:
    """Raises IntegrityError if the workspace has this version."""
    await connection.insert(POLICIES, [row])
    await bump(connection)
