"""The session of a browser: sign in with an API key, see who is signed in, sign out."""

from typing import Literal

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.access.principal import Principal
from gateway.access.sessions import Session
from gateway.api.errors import database_problems
from gateway.api.state import State, actor, workspace
from gateway.http import requests
from gateway.http.responses import json_response
from gateway.timestamps import Timestamp, optional_timestamp
from stores.audit_entries import ANONYMOUS, Entry


class SignInRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`key`: the text of an API key."""

    key: str

    def __repr__(self) -> str:
        return "SignInRequest(…)"


class SessionBody(Struct, kw_only=True):
    """Who the caller is. `key`: the id of the API key, or the subject of a person without one.
    `open`: no request needs a key, as in development before the first key. `signed_in_by`: what
    said so; `proxy`: the assertion of an identity-aware proxy. `until`: when the session ends
    unless another request comes. `latest_until`: when it ends anyway. Both are null for callers
    without a session.
    """

    workspace: str
    subject: str
    key: str
    role: str
    live: bool
    scopes: list[str]
    open: bool
    signed_in_by: Literal["key", "session", "proxy", "nothing"]
    until: Timestamp | None
    latest_until: Timestamp | None
    request_id: str


_sign_in_request = msgspec.json.Decoder(SignInRequest)


async def sign_in(request: Request[State]) -> Response:
    asked = await requests.read(request, _sign_in_request)
    principal, session = request.state["admission"].sign_in(request, asked.key)
    entry = Entry(
        event="session.started",
        principal=principal.id,
        address=principal.address,
        request_id=principal.request_id,
        subject=session.id,
    )
    request.state["journal"].note(principal.workspace, entry)
    return Response(status_code=204)


async def get_session(request: Request[State]) -> Response:
    admission = request.state["admission"]
    principal = request.state["principal"]
    session = request.scope["state"].get("session")
    body = SessionBody(
        workspace=principal.workspace,
        subject=principal.subject,
        key=principal.id,
        role=principal.role,
        live=principal.live,
        scopes=sorted(principal.scopes),
        open=admission.open,
        signed_in_by=_signed_in_by(principal, session),
        until=optional_timestamp(session and session.ends * 1000),
        latest_until=optional_timestamp(session and session.until * 1000),
        request_id=request.state["request_id"],
    )
    return json_response(body)


def _signed_in_by(
    principal: Principal, session: Session | None
) -> Literal["key", "session", "proxy", "nothing"]:
    if principal.assertion:
        return "proxy"
    if principal.id == ANONYMOUS:
        return "nothing"
    return "session" if session else "key"


async def sign_out(request: Request[State]) -> Response:
    """End the session on every gateway. Without a session, nothing changes."""
    if session := request.scope["state"].get("session"):
        with database_problems(check_url="/session"):
            services = await request.state["services"]()
            await services.sessions.end(workspace(request), session, actor=actor(request))
        await request.state["key_cache"].try_refresh()
    request.state["admission"].sign_out(request)
    return Response(status_code=204)
