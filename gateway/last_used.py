"""When keys were last used: noted at once, written once in a while."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stores.sql.database import Database

log = logging.getLogger("relay.roster")


class LastUsed:
    def __init__(self) -> None:
        self._moments: dict[str, int] = {}

    def note(self, key_id: str, now_ms: int) -> None:
        self._moments[key_id] = now_ms

    async def write(self, database: "Database") -> None:
        """What cannot be written now is written later."""
        if not self._moments:
            return
        from stores.sql import apikeys

        taken, self._moments = self._moments, {}
        written = False
        try:
            async with database.begin() as connection:
                await apikeys.used(connection, taken)
            written = True
        except Exception as error:  # noqa: BLE001  # nothing hangs on it
            facts = {"keys": len(taken), "error": type(error).__name__}
            log.warning("roster.unwritten", extra={"facts": facts})
        finally:
            if not written:
                self._moments = taken | self._moments
