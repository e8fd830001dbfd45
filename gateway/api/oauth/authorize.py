"""Ask for the link with which a person connects an account at a provider."""

from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.access.sealing import UnknownKey
from gateway.api.endpoint import BODY_PROBLEMS, Endpoint
from gateway.api.state import State, actor, workspace
from gateway.connections.consent.flow import actions_of, needed
from gateway.connections.consent.handshake import Ticket
from gateway.connections.providers import FACTS, to_set
from gateway.http import requests
from gateway.http.responses import json_response
from gateway.problem import FieldError
from gateway.problems import (
    EncryptionNotConfigured,
    Forbidden,
    InvalidRequest,
    NotFound,
    ProviderNotConfigured,
)
from gateway.timestamps import Timestamp, timestamp


class AuthorizeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """`actions`: what the account is connected for; they say which scopes are asked for.
    `expected_account`: no other account is connected. `read_back`: also ask for what finds out
    later what became of a run.
    """

    actions: Annotated[
        list[Annotated[str, Meta(max_length=100)]],
        Meta(min_length=1, max_length=20, examples=[["google.gmail.send"]]),
    ]
    expected_account: (
        Annotated[str, Meta(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")] | None
    ) = None
    read_back: bool = False


class AuthorizeBody(Struct, kw_only=True):
    """`start_url`: a page for the owner of the account. It works once."""

    start_url: str
    expires_at: Timestamp
    request_id: str


_authorize_request = msgspec.json.Decoder(AuthorizeRequest)


async def authorize_connection(request: Request[State]) -> Response:
    asked = await requests.read(request, _authorize_request)
    provider = request.path_params["provider"]
    if not request.state["principal"].live:
        raise Forbidden("A test key cannot create connections.")
    oauth = request.state["oauth"]
    _check_configured(provider, oauth.clients)
    by = actor(request)
    ticket = Ticket(
        workspace=workspace(request),
        provider=provider,
        actions=asked.actions,
        scopes=_scopes(provider, asked),
        expected_account=asked.expected_account,
        principal=by.principal,
        key=by.key,
    )
    try:
        start_url, ends_ms = await oauth.authorize(ticket)
    except UnknownKey as error:
        raise EncryptionNotConfigured("RELAY_ENCRYPTION_KEY is not set.") from error
    body = AuthorizeBody(
        start_url=start_url,
        expires_at=timestamp(ends_ms),
        request_id=request.state["request_id"],
    )
    return json_response(body, status=201)


def _check_configured(provider: str, clients: Collection[str]) -> None:
    """Raises NotFound and ProviderNotConfigured."""
    if provider not in FACTS:
        raise NotFound(f"The providers are {', '.join(FACTS)}.")
    if provider not in clients:
        title = FACTS[provider].title
        raise ProviderNotConfigured(f"{title} is not configured. {to_set(provider)}")


def _scopes(provider: str, asked: AuthorizeRequest) -> list[str]:
    """Raises InvalidRequest."""
    known = actions_of(provider)
    errors = [
        FieldError(f"/actions/{index}", f"The actions of {provider} are {', '.join(known)}.")
        for index, action in enumerate(asked.actions)
        if action not in known
    ]
    if errors:
        raise InvalidRequest("These are no actions of the provider.", errors=errors)
    return needed(FACTS[provider], asked.actions, read_back=asked.read_back)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/connections/{provider}/authorize",
        handler=authorize_connection,
        scope="connections:manage",
        summary="Get a link with which a person connects an account at a provider",
        request=AuthorizeRequest,
        response=AuthorizeBody,
        status=201,
        problems=(*BODY_PROBLEMS, NotFound, ProviderNotConfigured, EncryptionNotConfigured),
    ),
)
