"""Connections of the workspace: as whom its actions may be sent. No answer holds a secret."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.actions.action import Provider
from gateway.admin.connections import HOSTS_MAX
from gateway.admin.static_credentials import SECRET_MAX, USER_MAX, StaticRequest
from gateway.api.errors import database_problems
from gateway.api.state import State, actor, workspace
from gateway.config.secret import Secret
from gateway.connections.revocation import Revocation
from gateway.http import requests
from gateway.http.responses import json_response
from gateway.timestamps import Timestamp, optional_timestamp, timestamp
from stores.sql.connections import LABEL_MAX, ConnectionRow, Kind
from stores.sql.connections import State as RowState

HOST_EXAMPLES = ["api.example.com", "api.example.com:8443"]


class CreateConnectionRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A static credential. `kind`: `bearer` sends `Authorization: Bearer` and the secret, `basic`
    the user and the secret as its password, `header` the secret in a header of this name. `hosts`:
    where it may go; over https, unless an entry is an origin that EGRESS_ALLOW opens for http.
    """

    label: Annotated[str, Meta(min_length=1, max_length=LABEL_MAX)]
    kind: Literal["bearer", "basic", "header"]
    secret: Annotated[str, Meta(min_length=1, max_length=SECRET_MAX)]
    hosts: Annotated[
        list[Annotated[str, Meta(max_length=300)]],
        Meta(min_length=1, max_length=HOSTS_MAX, examples=[HOST_EXAMPLES]),
    ]
    user: Annotated[str, Meta(max_length=USER_MAX)] = ""
    header: Annotated[str, Meta(max_length=64)] = ""


class Connection(Struct, kw_only=True):
    """`account`: as whom it acts, as people know it. `scopes`: what the provider has granted.
    `hosts`: where a static credential may go. `header`: the header of a request that carries it.
    `state`: `needs_reauth` once the provider does not accept it any more: connect the account
    again. `refreshed_at`: when it last got a token, null for never.
    """

    id: str
    provider: str
    kind: Kind
    label: str
    account: str
    tenant: str | None
    scopes: list[str]
    hosts: list[str]
    header: str
    state: RowState
    created_at: Timestamp
    created_by: str
    refreshed_at: Timestamp | None
    used_at: Timestamp | None


class ConnectionBody(Connection, kw_only=True):
    request_id: str


class DeletedBody(ConnectionBody, kw_only=True):
    """`revocation`: what became of the grant at the provider; null for a static credential."""

    revocation: Revocation | None


class ListedProvider(Struct, kw_only=True):
    """`enabled`: whether the operator has configured it."""

    name: str
    enabled: bool


class ConnectionsBody(Struct, kw_only=True):
    connections: list[Connection]
    providers: list[ListedProvider]
    request_id: str


_create_request = msgspec.json.Decoder(CreateConnectionRequest)


async def list_connections(request: Request[State]) -> Response:
    with database_problems():
        connections = (await request.state["services"]()).connections
        rows = await connections.list_connections(workspace(request))
    body = ConnectionsBody(
        connections=[Connection(**_fields(row)) for row in rows],
        providers=_providers(request.state["providers"]),
        request_id=request.state["request_id"],
    )
    return json_response(body)


async def get_connection(request: Request[State]) -> Response:
    with database_problems():
        connections = (await request.state["services"]()).connections
        row = await connections.find_connection(
            workspace(request), request.path_params["connection_id"]
        )
    return _answer(request, row)


async def create_connection(request: Request[State]) -> Response:
    asked = await requests.read(request, _create_request)
    wanted = StaticRequest(
        label=asked.label,
        kind=asked.kind,
        secret=Secret(asked.secret.encode()),
        hosts=asked.hosts,
        user=asked.user,
        header=asked.header,
    )
    with database_problems(check_url="/connections"):
        connections = (await request.state["services"]()).connections
        row = await connections.create_static(workspace(request), wanted, actor=actor(request))
    await request.state["key_cache"].try_refresh()
    return _answer(request, row, status=201)


async def delete_connection(request: Request[State]) -> Response:
    connection_id = request.path_params["connection_id"]
    with database_problems(check_url="/connections"):
        connections = (await request.state["services"]()).connections
        gone, shared = await connections.delete_connection(
            workspace(request), connection_id, actor=actor(request)
        )
    await request.state["key_cache"].try_refresh()
    body = DeletedBody(
        **_fields(gone.row),
        revocation=await request.state["oauth"].give_back(gone, shared=shared),
        request_id=request.state["request_id"],
    )
    return json_response(body)


def _answer(request: Request[State], row: ConnectionRow, *, status: int = 200) -> Response:
    body = ConnectionBody(**_fields(row), request_id=request.state["request_id"])
    return json_response(body, status=status)


def _providers(providers: Mapping[str, Provider]) -> list[ListedProvider]:
    return [ListedProvider(name=name, enabled=one.enabled) for name, one in providers.items()]


def _fields(row: ConnectionRow) -> dict[str, Any]:
    fields = row._asdict()
    for hidden in ("workspace", "issuer", "subject", "version"):
        del fields[hidden]
    return {
        **fields,
        "scopes": row.scopes.split(),
        "hosts": row.hosts.split(),
        "created_at": timestamp(row.created_at),
        "refreshed_at": optional_timestamp(row.refreshed_at),
        "used_at": optional_timestamp(row.used_at),
    }
