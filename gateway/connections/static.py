"""Credentials that an administrator has entered: each is read from the database when it is first
used, and kept unsealed for a while.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from gateway.access.sealing import Forged, Sealer, UnknownKey, place_of_connection
from gateway.config.secret import Secret
from gateway.outcomes import NotSent
from stores.sql import connections
from stores.sql.connections import ConnectionRow, SealedConnection
from stores.sql.database import Database
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated, StatementFailed

# Of at most 4 KiB each.
KEPT_MAX = 256


class StaticSecrets:
    def __init__(
        self, find_database: Callable[[], Awaitable[Database | None]], sealer: Sealer
    ) -> None:
        self._find_database = find_database
        self._sealer = sealer
        self._kept: OrderedDict[tuple[str, int], Secret] = OrderedDict()

    async def secret(self, row: ConnectionRow, *, deadline: float) -> Secret | NotSent:
        """The value of the header. `deadline`: on the monotonic clock."""
        if kept := self._kept.get((row.id, row.version)):
            self._kept.move_to_end((row.id, row.version))
            return kept
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                found = await self._read(row)
        except (DatabaseUnavailable, SchemaOutdated, StatementFailed, TimeoutError):
            return unavailable("The database does not answer.")
        if found is None:
            return NotSent("The connection is gone.", "connection_outdated", tried=False)
        return self._unsealed(found)

    async def _read(self, row: ConnectionRow) -> SealedConnection | None:
        if (database := await self._find_database()) is None:
            return None
        async with database.connect() as connection:
            return await connections.find(connection, row.workspace, row.id)

    def _unsealed(self, found: SealedConnection) -> Secret | NotSent:
        row, (sealed, sealed_with) = found
        bound_to = place_of_connection(row.workspace, row.id, row.version)
        try:
            secret = Secret(self._sealer.unseal(sealed, sealed_with, bound_to=bound_to))
        except (UnknownKey, Forged):
            return unavailable("Its secret cannot be unsealed.")
        self._kept[row.id, row.version] = secret
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return secret


def unavailable(detail: str) -> NotSent:
    return NotSent(detail, "connection_unavailable", tried=False)
