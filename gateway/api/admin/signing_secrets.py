"""Signing secrets of the workspace: create and list. A secret's text is in one answer alone."""

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.errors import database_problems
from gateway.api.state import State, actor, workspace
from gateway.http import requests
from gateway.http.responses import json_response
from gateway.timestamps import Timestamp, optional_timestamp, timestamp


class CreateSecretRequest(Struct, forbid_unknown_fields=True):
    pass


class Secret(Struct, kw_only=True):
    """`retires_at`: until then it still signs, beside a newer one."""

    id: str
    created_at: Timestamp
    created_by: str
    retires_at: Timestamp | None


class SecretsBody(Struct, kw_only=True):
    secrets: list[Secret]
    request_id: str


class NewSecretBody(Struct, kw_only=True):
    """`secret`: in the format of Standard Webhooks, shown only in this answer."""

    id: str
    secret: str
    request_id: str


_create_request = msgspec.json.Decoder(CreateSecretRequest)


async def create_secret(request: Request[State]) -> Response:
    await requests.read(request, _create_request)
    with database_problems(check_url="/secrets"):
        secrets = (await request.state["services"]()).secrets
        made = await secrets.create_secret(workspace(request), actor=actor(request))
    await request.state["key_cache"].try_refresh()
    request_id = request.state["request_id"]
    body = NewSecretBody(id=made.id, secret=made.secret, request_id=request_id)
    return json_response(body, status=201)


async def list_secrets(request: Request[State]) -> Response:
    with database_problems():
        rows = await (await request.state["services"]()).secrets.list_secrets(workspace(request))
    secrets = [
        Secret(
            id=row.id,
            created_at=timestamp(row.created_at),
            created_by=row.created_by,
            retires_at=optional_timestamp(row.retires_at),
        )
        for row in rows
    ]
    return json_response(SecretsBody(secrets=secrets, request_id=request.state["request_id"]))
