"""Sessions that were ended before their time: every gateway reads them with the keys."""

from stores.sql.drivers.connection import Connection
from stores.sql.tables import ENDED_SESSIONS
from stores.sql.workspaces import bump


async def end(
    connection: Connection, workspace: str, session_id: str, *, until_ms: int, now_ms: int
) -> None:
    """End a session on every gateway. Sent twice, it changes nothing more."""
    await connection.execute("DELETE FROM ended_sessions WHERE until <= $1", now_ms)
    row = (session_id, workspace, until_ms)
    await connection.insert(ENDED_SESSIONS, [row], "ON CONFLICT DO NOTHING")
    await bump(connection)


async def ended(connection: Connection, now_ms: int) -> frozenset[str]:
    """The ids of the sessions that would not have ended by themselves."""
    rows = await connection.fetch("SELECT id FROM ended_sessions WHERE until > $1", now_ms)
    return frozenset(session_id for (session_id,) in rows)
