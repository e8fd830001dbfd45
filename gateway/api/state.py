"""What the process holds, what a request adds to it, and who makes a change."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NotRequired, TypedDict

from starlette.requests import Request

from gateway.access.admission import Admission
from gateway.access.key_cache import KeyCache
from gateway.access.limits import Limited, RateLimitHeaders
from gateway.access.principal import Principal
from gateway.access.sessions import Session
from gateway.actions.action import Provider
from gateway.admin.services import Services
from gateway.api.readiness import Readiness
from gateway.api.streams import Streams
from gateway.approvals.channel_answers import ChannelTester
from gateway.approvals.inbox import Inbox
from gateway.approvals.receipts import Receipts
from gateway.audit.journal import Journal
from gateway.audit.verification import Verifier
from gateway.connections.consent.flow import OAuth
from gateway.database import LazyDatabase
from gateway.execution.engine import Engine
from gateway.http.origins import Origins
from gateway.mcp.summaries import Summaries
from gateway.mcp.tools import Tools
from gateway.transaction import Actor
from stores.audit_entries import ANONYMOUS


class Constant(TypedDict):
    """What the settings alone say."""

    rate_limits: RateLimitHeaders
    origins: Origins
    tools: Tools
    summaries: Summaries
    receipts: Receipts
    providers: Mapping[str, Provider]
    actions_enabled: bool
    counting: bool
    openapi: bytes


class Entrance(TypedDict):
    """Who may come in, and whether anyone should be sent here."""

    admission: Admission
    readiness: Readiness


class Opened(Constant, Entrance):
    """What `opening` opens. `services`: raises DatabaseUnavailable and SchemaOutdated."""

    engine: Engine
    inbox: Inbox
    channel_tester: ChannelTester
    oauth: OAuth
    key_cache: KeyCache
    database: LazyDatabase
    services: Callable[[], Awaitable[Services]]
    journal: Journal
    verifier: Verifier
    streams: Streams


class State(Opened):
    """What a request has. `principal`: on endpoints with a scope. `limited`: the rate limit of
    the endpoint, if any. `session`: of the cookie that the request has. `cookies`: values of
    Set-Cookie for its answer.
    """

    request_id: str
    principal: Principal
    limited: Limited | None
    session: NotRequired[Session]
    cookies: NotRequired[Sequence[str]]


def workspace(request: Request[State]) -> str:
    return request.state["principal"].workspace


def actor(request: Request[State]) -> Actor:
    """The caller, as the actor of a change."""
    principal = request.state["principal"]
    return Actor(
        principal=principal.id,
        key=None if principal.id == ANONYMOUS or principal.assertion else principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        scopes=principal.scopes,
        live=principal.live,
        subject=principal.subject,
        makers=principal.makers,
    )
