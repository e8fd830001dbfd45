"""Static credentials: read once, unsealed in their own place alone."""

import time

import pytest

from gateway.access.sealing import Sealer
from gateway.connections import static
from gateway.connections.credentials import Credentials, connection_of
from gateway.effects import Effect
from gateway.outcomes import NotSent
from stores.sql import connections
from stores.sql.connections import ConnectionRow, Sealed
from stores.sql.database import Database
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated, StatementFailed
from tests.stores.sql.test_connections import ANN
from tests.support.credentials import KEY, Rows, credentials, sealed

CRM = ANN._replace(
    id="c-3", provider="static", kind="bearer", header="X-Key", hosts="https://crm.example"
)
CONNECTION = connection_of(CRM)
LATER = time.monotonic() + 3600
EFFECT = Effect(
    method="GET",
    url="https://crm.example/deals",
    headers={},
    body=None,
    summary="",
    credential=CONNECTION.credential(),
)


async def stored(database: Database, secret: Sealed, row: ConnectionRow = CRM) -> Credentials:
    async with database.begin() as connection:
        assert await connections.insert(connection, row, secret)
    rows = Rows()
    rows.by_workspace["default"] = [row]
    return credentials(rows, database)


async def headers(held: Credentials, *, seconds: float = 5) -> dict[str, str] | NotSent:
    answer = await held.headers("default", EFFECT, deadline=time.monotonic() + seconds)
    return answer if isinstance(answer, NotSent) else dict(answer)


async def test_a_static_credential_is_read_once(database: Database) -> None:
    """Then no database is needed."""
    held = await stored(database, sealed(CRM, b"k-1"))
    assert await headers(held) == {"X-Key": "k-1"}
    async with database.begin() as connection:
        await connections.remove(connection, "default", "c-3")
    assert await headers(held) == {"X-Key": "k-1"}  # until the deletion has reached this gateway


async def test_a_secret_of_another_place_is_not_sent(database: Database) -> None:
    """A writer of the database can exchange rows, and Relay then sends nothing."""
    for moved in (
        CRM._replace(id="c-4"),
        CRM._replace(workspace="other"),
        CRM._replace(version=2),
    ):
        held = await stored(database, sealed(moved, b"k-1"))
        answer = await headers(held)
        assert isinstance(answer, NotSent)
        assert answer.reason == "connection_unavailable"
        async with database.begin() as connection:
            await connections.remove(connection, "default", "c-3")


async def test_an_unknown_key_unseals_nothing(database: Database) -> None:
    """And the row stays as it is."""
    held = await stored(database, sealed(CRM, b"k-1")._replace(sealed_with="0123456789abcdef"))
    answer = await headers(held)
    assert isinstance(answer, NotSent)
    assert answer.reason == "connection_unavailable"
    async with database.connect() as connection:
        found = await connections.find(connection, "default", "c-3")
    assert found is not None
    assert found.secret.sealed_with == "0123456789abcdef"


async def test_a_row_that_is_gone_sends_nothing(database: Database) -> None:
    """Also before the deletion has reached this gateway."""
    held = await stored(database, sealed(CRM, b"k-1"))
    async with database.begin() as connection:
        await connections.remove(connection, "default", "c-3")
    answer = await headers(held)
    assert isinstance(answer, NotSent)
    assert answer.reason == "connection_outdated"


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("away"), SchemaOutdated("old"), StatementFailed("no table")]
)
async def test_a_database_that_fails_sends_nothing(error: Exception) -> None:
    """The run is given back: it is not `unknown`, since nothing was sent."""

    async def failing() -> Database:
        raise error

    secret = await static.StaticSecrets(failing, Sealer([KEY])).secret(CRM, deadline=LATER)
    assert isinstance(secret, NotSent)
    assert (secret.reason, secret.tried) == ("connection_unavailable", False)


async def test_no_time_is_no_secret(database: Database) -> None:
    held = await stored(database, sealed(CRM, b"k-1"))
    answer = await headers(held, seconds=-1)
    assert isinstance(answer, NotSent)
    assert answer.reason == "connection_unavailable"


async def test_few_secrets_are_kept(database: Database) -> None:
    """The least recently used goes first."""

    async def find_database() -> Database:
        return database

    kept = static.StaticSecrets(find_database, Sealer([KEY]))
    rows = [CRM._replace(id=f"c-{n}", subject=str(n)) for n in range(static.KEPT_MAX + 1)]
    async with database.begin() as connection:
        for row in rows:
            await connections.insert(connection, row, sealed(row, b"k"))
    for row in [*rows[:-1], rows[0], rows[-1]]:
        await kept.secret(row, deadline=time.monotonic() + 5)
    assert len(kept._kept) == static.KEPT_MAX
    assert ("c-0", 1) in kept._kept
    assert ("c-1", 1) not in kept._kept
