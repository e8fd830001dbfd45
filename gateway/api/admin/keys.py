"""API keys: create, rotate, revoke, list. A key's text is in one answer alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import api_keys
from gateway.access.roles import Role, Scope
from gateway.admin.keys import (
    EXPIRES_IN,
    LONGEST,
    NAME_MAX,
    OVERLAP,
    SUBJECT,
    KeyRequest,
    NewKey,
    key_not_found,
)
from gateway.api.errors import database_problems
from gateway.api.state import State, actor, workspace
from gateway.http import requests
from gateway.http.responses import json_response
from gateway.timestamps import Timestamp, optional_timestamp, timestamp
from stores.sql import api_keys as rows

HOUR = timedelta(hours=1)


class CreateKeyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`scopes`: some of the role's scopes; all of them by default. `subject`: the person or program
    behind the key, the key itself by default. A subject cannot approve what it asked for.
    """

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
    role: Role
    scopes: Annotated[list[Scope], Meta(extra_json_schema={"minItems": 1})] | None = None
    kind: Literal["live", "test"] = "live"
    expires_in_days: Annotated[int, Meta(ge=1, le=LONGEST.days)] = EXPIRES_IN.days
    subject: Annotated[str, Meta(pattern=rf"^{SUBJECT}$(?!\n)")] | None = None


class RotateKeyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`overlap_hours`: how long the old key stays valid."""

    overlap_hours: Annotated[int, Meta(ge=0, le=LONGEST // HOUR)] = OVERLAP // HOUR


class Key(Struct, kw_only=True):
    """`scopes`: null for all scopes of the role."""

    id: str
    name: str
    kind: Literal["live", "test"]
    role: str
    scopes: tuple[str, ...] | None
    created_at: Timestamp
    created_by: str
    expires_at: Timestamp
    last_used_at: Timestamp | None
    revoked_at: Timestamp | None
    revoked_by: str | None
    replaced_by: str | None
    subject: str


class KeyBody(Struct, kw_only=True):
    key: Key
    request_id: str


class NewKeyBody(KeyBody, kw_only=True):
    """`secret`: the key itself, shown only in this answer."""

    secret: str


class KeysBody(Struct, kw_only=True):
    keys: list[Key]
    request_id: str


_create_request = msgspec.json.Decoder(CreateKeyRequest)
_rotate_request = msgspec.json.Decoder(RotateKeyRequest)


async def create_key(request: Request[State]) -> Response:
    asked = await requests.read(request, _create_request)
    wanted = KeyRequest(
        asked.name,
        asked.role,
        asked.scopes,
        asked.kind == "live",
        timedelta(days=asked.expires_in_days),
        asked.subject,
    )
    with database_problems(check_url="/keys"):
        keys = (await request.state["services"]()).keys
        new = await keys.create_key(workspace(request), wanted, actor=actor(request))
    return await _new_key(request, new)


async def rotate_key(request: Request[State]) -> Response:
    key_id, asked = _key_id(request), await requests.read(request, _rotate_request)
    with database_problems(check_url="/keys"):
        keys = (await request.state["services"]()).keys
        new = await keys.rotate_key(
            workspace(request), key_id, actor=actor(request), overlap=asked.overlap_hours * HOUR
        )
    return await _new_key(request, new)


async def revoke_key(request: Request[State]) -> Response:
    key_id = _key_id(request)
    with database_problems(check_url="/keys"):
        keys = (await request.state["services"]()).keys
        key = await keys.revoke_key(workspace(request), key_id, actor=actor(request))
    await request.state["key_cache"].try_refresh()
    return json_response(KeyBody(key=_key(key), request_id=request.state["request_id"]))


async def list_keys(request: Request[State]) -> Response:
    with database_problems():
        keys = await (await request.state["services"]()).keys.list_keys(workspace(request))
    body = KeysBody(keys=[_key(key) for key in keys], request_id=request.state["request_id"])
    return json_response(body)


async def _new_key(request: Request[State], new: NewKey) -> Response:
    # So that it works on this gateway at once.
    await request.state["key_cache"].try_refresh()
    request_id = request.state["request_id"]
    body = NewKeyBody(key=_key(new.key), secret=new.secret, request_id=request_id)
    return json_response(body, status=201)


def _key_id(request: Request[State]) -> str:
    """Raises KeyNotFound for text that cannot be an id, without asking the database."""
    key_id: str = request.path_params["key_id"]
    if len(key_id) != api_keys.ID or not set(key_id) <= set(api_keys.BASE62):
        raise key_not_found(workspace(request))
    return key_id


def _key(row: rows.ApiKey) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        kind="live" if row.live else "test",
        role=row.role,
        scopes=row.scopes,
        created_at=timestamp(row.created_at),
        created_by=row.created_by,
        expires_at=timestamp(row.expires_at),
        last_used_at=optional_timestamp(row.last_used_at),
        revoked_at=optional_timestamp(row.revoked_at),
        revoked_by=row.revoked_by,
        replaced_by=row.replaced_by,
        subject=row.subject or row.id,
    )
