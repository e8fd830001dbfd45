"""Connections in the database: one an account, and of two writers one wins."""

from stores.sql import connections, workspaces
from stores.sql.connections import ConnectionRow, Sealed, SealedConnection
from stores.sql.database import Database

ANN = ConnectionRow(
    id="c-1",
    workspace="default",
    provider="google",
    kind="oauth",
    label="mail",
    issuer="https://accounts.google.com",
    subject="4711",
    account="ann@x.example",
    tenant=None,
    scopes="openid email",
    hosts="",
    header="Authorization",
    state="active",
    version=1,
    created_at=1,
    created_by="boss",
)
FIRST, SECOND, THIRD = (Sealed(name, "0123456789abcdef") for name in (b"1st", b"2nd", b"3rd"))


async def generation(database: Database) -> int:
    async with database.connect() as connection:
        return await workspaces.generation(connection)


async def created(database: Database, *rows: ConnectionRow) -> None:
    async with database.begin() as connection:
        await workspaces.create(connection, "other", now_ms=1)
        for row in rows:
            assert await connections.insert(connection, row, FIRST)


async def found(database: Database) -> SealedConnection:
    async with database.connect() as connection:
        one = await connections.find(connection, "default", "c-1")
    assert one is not None
    return one


async def test_a_connection_is_read_as_it_was_written(database: Database) -> None:
    """Listings have no secret."""
    await created(database, ANN)
    async with database.connect() as connection:
        assert await connections.of_all(connection) == [ANN]
        assert await connections.list_all(connection, "default") == [ANN]
        assert await connections.list_all(connection, "other") == []
        assert await connections.find(connection, "other", "c-1") is None
        same = await connections.find_account(
            connection, "default", provider="google", issuer=ANN.issuer, subject="4711"
        )
    assert await found(database) == same == SealedConnection(ANN, FIRST)


async def test_an_account_connects_once_in_a_workspace(database: Database) -> None:
    """Another issuer's subject and another workspace's are other accounts."""
    await created(database, ANN)
    before = await generation(database)
    async with database.begin() as connection:
        assert not await connections.insert(connection, ANN._replace(id="c-2"), SECOND)
        assert not await connections.share_account(connection, ANN)
    assert await generation(database) == before
    async with database.begin() as connection:
        assert await connections.insert(connection, ANN._replace(id="c-2", issuer="b"), SECOND)
        assert not await connections.share_account(connection, ANN)
        elsewhere = ANN._replace(id="c-3", workspace="other")
        assert await connections.insert(connection, elsewhere, SECOND)
        assert await connections.share_account(connection, ANN)
    assert await generation(database) == before + 2


async def test_of_two_writers_of_a_token_one_wins(database: Database) -> None:
    """Each has seen version 1. The generation stays: no gateway holds a token of the row."""
    await created(database, ANN)
    before = await generation(database)
    async with database.begin() as connection:
        assert await connections.rotate(connection, "c-1", SECOND, seen=1, now_ms=7)
    async with database.begin() as connection:
        assert not await connections.rotate(connection, "c-1", THIRD, seen=1, now_ms=9)
    row = ANN._replace(version=2, refreshed_at=7)
    assert await found(database) == SealedConnection(row, SECOND)
    assert await generation(database) == before


async def test_a_late_refusal_does_not_end_a_new_token(database: Database) -> None:
    """What the provider said of version 1 says nothing of version 2."""
    await created(database, ANN)
    before = await generation(database)
    async with database.begin() as connection:
        assert await connections.rotate(connection, "c-1", SECOND, seen=1, now_ms=7)
        assert not await connections.mark_needs_reauth(connection, "c-1", seen=1)
    assert (await found(database)).row.state == "active"
    assert await generation(database) == before
    async with database.begin() as connection:
        assert await connections.mark_needs_reauth(connection, "c-1", seen=2)
        assert not await connections.mark_needs_reauth(connection, "c-1", seen=2)
        assert not await connections.rotate(connection, "c-1", THIRD, seen=2, now_ms=9)
    one = await found(database)
    assert (one.row.state, one.secret) == ("needs_reauth", SECOND)
    assert await generation(database) == before + 1


async def test_a_new_consent_makes_a_connection_active(database: Database) -> None:
    """With the account's present name and scopes, and read by every gateway."""
    await created(database, ANN)
    before = await generation(database)
    now = ANN._replace(account="ann.b@x.example", scopes="openid", refreshed_at=5)
    async with database.begin() as connection:
        await connections.mark_needs_reauth(connection, "c-1", seen=1)
        assert not await connections.connect_again(connection, now, THIRD, seen=0)
        assert await connections.connect_again(connection, now, SECOND, seen=1)
    assert await found(database) == SealedConnection(now._replace(version=2), SECOND)
    assert await generation(database) == before + 2


async def test_only_what_another_key_has_sealed_is_sealed_again(database: Database) -> None:
    """A secret that has changed in between keeps its own seal."""
    await created(database, ANN)
    newer = Sealed(b"resealed", "fedcba9876543210")
    async with database.begin() as connection:
        assert await connections.sealed_with_another(connection, "0123456789abcdef") == []
        [older] = await connections.sealed_with_another(connection, "fedcba9876543210")
        assert not await connections.reseal(connection, older.row._replace(version=0), newer)
        assert await connections.reseal(connection, older.row, newer)
        assert await connections.sealed_with_another(connection, "fedcba9876543210") == []
    assert await found(database) == SealedConnection(ANN, newer)


async def test_a_workspace_removes_only_its_own_connections(database: Database) -> None:
    await created(database, ANN)
    before = await generation(database)
    async with database.begin() as connection:
        assert await connections.remove(connection, "other", "c-1") is None
        assert await workspaces.generation(connection) == before
        assert await connections.remove(connection, "default", "c-1") == (ANN, FIRST)
        assert await workspaces.generation(connection) == before + 1
        assert await connections.of_all(connection) == []


async def test_the_latest_use_and_refresh_are_kept(database: Database) -> None:
    """A use that another gateway writes late does not go back in time."""
    await created(database, ANN)
    async with database.begin() as connection:
        await connections.record_use(connection, {"c-1": 9, "gone": 9})
        await connections.record_use(connection, {"c-1": 8})
        await connections.record_refresh(connection, "c-1", now_ms=6)
    row = ANN._replace(used_at=9, refreshed_at=6)
    assert (await found(database)).row == row
