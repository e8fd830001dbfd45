"""The handlers of keys and signing secrets. What is shown once stands in one answer alone."""

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import api_keys
from gateway.admin.keys import NewKey
from gateway.api import listings
from gateway.api.declining import database_problems, no_key
from gateway.api.endpoints import JSON, State
from gateway.http import requests
from gateway.transaction import Actor
from stores.audit_entries import ANONYMOUS

_new_key = msgspec.json.Decoder(listings.CreateKeyRequest)
_rotation = msgspec.json.Decoder(listings.RotateKeyRequest)
_new_secret = msgspec.json.Decoder(listings.CreateSecretRequest)


async def create_key(request: Request[State]) -> Response:
    asked = await requests.read_once(request, _new_key)
    with database_problems(check_url="/keys"):
        services = await request.state["database"].services()
        new_key = await services.keys.create_key(
            _workspace(request), asked.wanted, actor=actor(request)
        )
    return await _issued(request, new_key)


async def rotate_key(request: Request[State]) -> Response:
    key_id, asked = _key_id(request), await requests.read_once(request, _rotation)
    with database_problems(check_url="/keys"):
        services = await request.state["database"].services()
        new_key = await services.keys.rotate_key(
            _workspace(request), key_id, actor=actor(request), overlap=asked.overlap
        )
    return await _issued(request, new_key)


async def revoke_key(request: Request[State]) -> Response:
    key_id = _key_id(request)
    with database_problems(check_url="/keys"):
        services = await request.state["database"].services()
        key = await services.keys.revoke_key(_workspace(request), key_id, actor=actor(request))
    await request.state["key_cache"].look()
    return _body(listings.KeyBody(key=listings.key(key), request_id=request.state["request_id"]))


async def list_keys(request: Request[State]) -> Response:
    with database_problems():
        services = await request.state["database"].services()
        listed = await services.keys.list_keys(_workspace(request))
    keys = [listings.key(key) for key in listed]
    return _body(listings.KeysBody(keys=keys, request_id=request.state["request_id"]))


async def create_secret(request: Request[State]) -> Response:
    await requests.read_once(request, _new_secret)
    with database_problems(check_url="/secrets"):
        services = await request.state["database"].services()
        made = await services.secrets.create_secret(_workspace(request), actor=actor(request))
    await request.state["key_cache"].look()
    body = listings.NewSecretBody(
        id=made.id, secret=made.secret, request_id=request.state["request_id"]
    )
    return _body(body, status=201)


async def list_secrets(request: Request[State]) -> Response:
    with database_problems():
        services = await request.state["database"].services()
        listed = await services.secrets.list_secrets(_workspace(request))
    secrets = [listings.secret(secret) for secret in listed]
    return _body(listings.SecretsBody(secrets=secrets, request_id=request.state["request_id"]))


async def _issued(request: Request[State], new_key: NewKey) -> Response:
    # So that it holds on this gateway at once.
    await request.state["key_cache"].look()
    body = listings.NewKeyBody(
        key=listings.key(new_key.key),
        secret=new_key.secret,
        request_id=request.state["request_id"],
    )
    return _body(body, status=201)


def _key_id(request: Request[State]) -> str:
    """Raises KeyNotFound for what cannot be one: not all of it could be asked for."""
    key_id: str = request.path_params["key_id"]
    if len(key_id) != api_keys.ID or not set(key_id) <= set(api_keys.BASE62):
        raise no_key()
    return key_id


def _workspace(request: Request[State]) -> str:
    return request.state["principal"].workspace


def actor(request: Request[State]) -> Actor:
    principal = request.state["principal"]
    return Actor(
        principal=principal.id,
        key=None if principal.id == ANONYMOUS else principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        scopes=principal.scopes,
        live=principal.live,
    )


def _body(body: Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)
