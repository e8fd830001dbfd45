"""Credentials over rows that a test holds itself."""

from collections.abc import Mapping, Sequence

from gateway.access.sealing import Sealer, place_of_connection
from gateway.connections.credentials import CachedRows, Credentials, Tokens
from gateway.connections.static import StaticSecrets
from stores.sql.connections import ConnectionRow, Sealed
from stores.sql.database import Database

KEY = b"e" * 32


class Rows:
    """The connections that a gateway has in memory, by workspace."""

    def __init__(self) -> None:
        self.by_workspace: dict[str, Sequence[ConnectionRow]] = {}
        self.used: list[str] = []

    def of(self, workspace: str) -> Sequence[ConnectionRow]:
        return self.by_workspace.get(workspace, ())


def credentials(
    rows: Rows | None = None,
    database: Database | None = None,
    *,
    tokens: Tokens | None = None,
    hosts: Mapping[str, frozenset[str]] | None = None,
) -> Credentials:
    """By default of workspaces without connections."""

    async def find_database() -> Database | None:
        return database

    held = rows or Rows()
    static = StaticSecrets(find_database, Sealer([KEY]))
    return Credentials(CachedRows(held.of, held.used.append), static, tokens, hosts)


def sealed(row: ConnectionRow, secret: bytes) -> Sealed:
    bound_to = place_of_connection(row.workspace, row.id, row.version)
    return Sealed(*Sealer([KEY]).seal(secret, bound_to=bound_to))
