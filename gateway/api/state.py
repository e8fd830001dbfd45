"""What the process holds, what a request adds to it, and who makes a change."""

from collections.abc import Awaitable, Callable
from typing import TypedDict

from starlette.requests import Request

from gateway.access.admission import Admission
from gateway.access.key_cache import KeyCache
from gateway.access.limits import Limited, RateLimitHeaders
from gateway.access.principal import Principal
from gateway.admin.services import Services
from gateway.approvals.inbox import Inbox
from gateway.audit.journal import Journal
from gateway.database import LazyDatabase
from gateway.execution.engine import Engine
from gateway.readiness import Readiness
from gateway.transaction import Actor
from stores.audit_entries import ANONYMOUS


class Opened(TypedDict):
    """What `app` opens. `services`: raises DatabaseUnavailable and SchemaOutdated."""

    engine: Engine
    inbox: Inbox
    readiness: Readiness
    admission: Admission
    rate_limits: RateLimitHeaders
    key_cache: KeyCache
    database: LazyDatabase
    services: Callable[[], Awaitable[Services]]
    journal: Journal
    actions_enabled: bool
    counting: bool
    openapi: bytes


class State(Opened):
    """What a request has. `principal`: on endpoints with a scope. `limited`: the rate limit of
    the endpoint, if any.
    """

    request_id: str
    principal: Principal
    limited: Limited | None


def workspace(request: Request[State]) -> str:
    return request.state["principal"].workspace


def actor(request: Request[State]) -> Actor:
    """The caller, as the actor of a change."""
    principal = request.state["principal"]
    return Actor(
        principal=principal.id,
        key=None if principal.id == ANONYMOUS else principal.id,
        address=principal.address,
        request_id=request.state["request_id"],
        scopes=principal.scopes,
        live=principal.live,
        subject=principal.subject,
        makers=principal.makers,
    )
