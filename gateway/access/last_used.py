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
        """What cannot be written now is written later: all, or the keys that are being changed."""
        if not self._moments:
            return
        from stores.sql import api_keys

        taken, self._moments = self._moments, {}
        left = set(taken)
        try:
            async with database.begin() as connection:
                left_out = await api_keys.used(connection, taken)
            left = left_out
        except Exception as error:  # noqa: BLE001  # nothing hangs on it
            fields = {"keys": len(taken), "error": type(error).__name__}
            log.warning("roster.unwritten", extra={"fields": fields})
        finally:
            self._moments = {key_id: taken[key_id] for key_id in left} | self._moments
