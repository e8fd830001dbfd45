"""Static connections are made with their audit entry, sealed, on both databases."""

from typing import Any

import pytest

from gateway import problems
from gateway.access.sealing import Sealer, key_id, place_of_connection
from gateway.admin import connections as module
from gateway.admin.static_credentials import SECRET_MAX, StaticRequest
from gateway.config.secret import Secret
from gateway.transaction import Actor
from stores.sql import connections
from stores.sql.connections import SealedConnection
from stores.sql.database import Database
from tests.stores.sql.test_connections import ANN, FIRST
from tests.support.services import CLI, ENCRYPTION_KEY, audited, services

CANARY = "canary-7f3a"
CRM = StaticRequest("crm", "bearer", Secret(CANARY.encode()), ["crm.example"])


def wanted(**changes: Any) -> StaticRequest:
    changes = {
        name: Secret(value) if name == "secret" else value for name, value in changes.items()
    }
    return CRM._replace(**changes)


async def stored(database: Database, connection_id: str) -> SealedConnection:
    async with database.connect() as connection:
        found = await connections.find(connection, "default", connection_id)
    assert found is not None
    return found


def unsealed(found: SealedConnection, key: bytes = ENCRYPTION_KEY) -> bytes:
    row = found.row
    bound_to = place_of_connection(row.workspace, row.id, row.version)
    return Sealer([key]).unseal(*found.secret, bound_to=bound_to)


async def test_a_connection_is_made_with_its_entry(database: Database) -> None:
    """The entry says where the secret may go, and nothing of the secret."""
    actor = Actor("key:abc", address="192.0.2.1", request_id="r-1")
    made = await services(database).connections.create_static("default", CRM, actor=actor)
    assert await services(database).connections.find_connection("default", made.id) == made
    assert (made.provider, made.account, made.hosts) == ("static", "crm", "https://crm.example")
    found = await stored(database, made.id)
    assert unsealed(found) == f"Bearer {CANARY}".encode()
    assert CANARY.encode() not in found.secret.sealed
    [entry] = await audited(database)
    assert (entry.event, entry.principal, entry.subject) == (
        *("connection.created", "key:abc", made.id),
    )
    assert entry.detail == "static (bearer) 'crm' as crm, to https://crm.example"
    assert CANARY not in repr((CRM, made, entry))


@pytest.mark.parametrize(
    ("changes", "header", "value"),
    [
        ({}, "Authorization", "Bearer canary-7f3a"),
        # RFC 7617, 2 and 2.1
        (
            {"kind": "basic", "user": "Aladdin", "secret": b"open sesame"},
            *("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ),
        (
            {"kind": "basic", "user": "test", "secret": "123£".encode()},
            *("Authorization", "Basic dGVzdDoxMjPCow=="),
        ),
        ({"kind": "header", "header": "X-Api-Key", "secret": b"a b"}, "X-Api-Key", "a b"),
        ({"kind": "header", "header": "Authorization"}, "Authorization", "canary-7f3a"),
    ],
)
async def test_the_secret_becomes_one_header(
    database: Database, changes: dict[str, Any], header: str, value: str
) -> None:
    made = await services(database).connections.create_static(
        "default", wanted(**changes), actor=CLI
    )
    assert (made.header, unsealed(await stored(database, made.id))) == (header, value.encode())


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"label": ""}, "/label"),
        ({"label": "a" * 65}, "/label"),
        ({"label": "a\u200bb"}, "/label"),
        ({"label": " a"}, "/label"),
        ({"secret": b""}, "/secret"),
        ({"secret": b"a b"}, "/secret"),
        ({"secret": b"a\r\nX-Evil: 1"}, "/secret"),
        ({"secret": b"\xff"}, "/secret"),
        ({"secret": "é".encode()}, "/secret"),
        ({"secret": b"a" * (SECRET_MAX + 1)}, "/secret"),
        ({"user": "ann"}, "/user"),
        ({"kind": "basic"}, "/user"),
        ({"kind": "basic", "user": "a:b"}, "/user"),
        ({"kind": "basic", "user": "a\nb"}, "/user"),
        ({"kind": "basic", "user": "ann", "secret": b"a\nb"}, "/secret"),
        ({"header": "X-Key"}, "/header"),
        ({"kind": "header"}, "/header"),
        ({"kind": "header", "header": "X_Key"}, "/header"),
        ({"kind": "header", "header": "X-Key", "secret": b"a\nb"}, "/secret"),
        ({"kind": "header", "header": "X-Key", "secret": b" a"}, "/secret"),
        *(
            ({"kind": "header", "header": name}, "/header")
            for name in ("Host", "content-length", "Proxy-Authorization", "X-Forwarded-For")
        ),
        *(
            ({"kind": "header", "header": name}, "/header")
            for name in ("webhook-signature", "Traceparent", "Content-Type", "Transfer-Encoding")
        ),
        ({"hosts": []}, "/hosts"),
        ({"hosts": ["a.example"] * 21}, "/hosts"),
        *(
            ({"hosts": ["crm.example", host]}, "/hosts/1")
            for host in ("", "a.example/", "a.example?", "*.example", "u@a.example", "ftp://a.b")
        ),
    ],
)
async def test_what_is_no_credential_is_refused(
    database: Database, changes: dict[str, Any], pointer: str
) -> None:
    """The refusal names the member, and repeats no secret."""
    with pytest.raises(problems.InvalidRequest) as raised:
        await services(database).connections.create_static("default", wanted(**changes), actor=CLI)
    assert [error.pointer for error in raised.value.errors or ()] == [pointer]
    assert CANARY not in str(raised.value)
    assert await services(database).connections.list_connections("default") == []


async def test_hosts_are_kept_as_origins(database: Database) -> None:
    """Each once; a port other than that of https stays."""
    hosts = ["B.example:443", "https://b.example", "a.example:8443", "http://127.0.0.1:9000"]
    made = await services(database).connections.create_static(
        "default", wanted(hosts=hosts), actor=CLI
    )
    assert made.hosts.split() == [
        *("http://127.0.0.1:9000", "https://a.example:8443", "https://b.example")
    ]


async def test_a_label_is_taken_once(database: Database) -> None:
    """In a workspace; case makes a difference."""
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    for workspace, label in (("default", "crm"), ("default", "CRM"), ("team", "crm")):
        await made.connections.create_static(workspace, wanted(label=label), actor=CLI)
    with pytest.raises(problems.ConnectionExists, match="'crm'"):
        await made.connections.create_static("default", CRM, actor=CLI)


async def test_a_workspace_has_so_many_connections(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 1)
    made = services(database).connections
    await made.create_static("default", CRM, actor=CLI)
    with pytest.raises(problems.InvalidRequest, match="delete one"):
        await made.create_static("default", wanted(label="b"), actor=CLI)


async def test_a_test_key_makes_no_connection(database: Database) -> None:
    """Live previews could be sent with it."""
    with pytest.raises(problems.Forbidden, match="test key"):
        await services(database).connections.create_static(
            "default", CRM, actor=Actor("k", live=False)
        )


async def test_without_an_encryption_key_nothing_is_kept(database: Database) -> None:
    made = services(database, keys=()).connections
    with pytest.raises(problems.EncryptionNotConfigured):
        await made.create_static("default", CRM, actor=CLI)
    assert await made.list_connections("default") == []


async def test_a_connection_is_deleted_in_its_workspace_alone(database: Database) -> None:
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    row = await made.connections.create_static("default", CRM, actor=CLI)
    for workspace, connection_id in (("team", row.id), ("default", "unknown")):
        with pytest.raises(problems.ConnectionNotFound):
            await made.connections.delete_connection(workspace, connection_id, actor=CLI)
        with pytest.raises(problems.ConnectionNotFound):
            await made.connections.find_connection(workspace, connection_id)
    gone, shared = await made.connections.delete_connection("default", row.id, actor=CLI)
    assert (gone.row, shared) == (row, False)
    assert await made.connections.list_connections("default") == []
    assert [it.event for it in await audited(database)][-1] == "connection.deleted"


async def test_a_deletion_tells_of_other_connections_of_the_account(database: Database) -> None:
    """Revoking its grant would end the other connection too."""
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    async with database.begin() as connection:
        await connections.insert(connection, ANN, FIRST)
        await connections.insert(connection, ANN._replace(id="c-2", workspace="team"), FIRST)
    assert (await made.connections.delete_connection("default", "c-1", actor=CLI))[1]
    assert not (await made.connections.delete_connection("team", "c-2", actor=CLI))[1]


async def test_connections_are_sealed_anew_with_the_secrets(database: Database) -> None:
    """The command that does it for signing secrets does it for both."""
    new = b"n" * 32
    row = await services(database).connections.create_static("default", CRM, actor=CLI)
    await services(database).secrets.create_secret("default", actor=CLI)
    renewing = services(database, keys=(new, ENCRYPTION_KEY)).secrets
    assert await renewing.reseal(actor=CLI) == 2
    assert await renewing.reseal(actor=CLI) == 0
    found = await stored(database, row.id)
    assert found.secret.sealed_with == key_id(new)
    assert unsealed(found, new) == f"Bearer {CANARY}".encode()


async def test_a_connection_whose_key_is_lost_stops_the_sealing(database: Database) -> None:
    """And stays as it was."""
    row = await services(database).connections.create_static("default", CRM, actor=CLI)
    before = await stored(database, row.id)
    with pytest.raises(problems.EncryptionNotConfigured, match=row.id):
        await services(database, keys=(b"n" * 32,)).secrets.reseal(actor=CLI)
    assert await stored(database, row.id) == before
