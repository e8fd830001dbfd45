"""One endpoint: what serves it, who may use it, and what the OpenAPI document says of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.access.admission import Needed
from gateway.access.limits import Limited
from gateway.api.state import State
from gateway.problem import Problem
from gateway.problems import (
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    MalformedJson,
    StoreUnavailable,
    UnsupportedMediaType,
)

Handler = Callable[[Request[State]], Awaitable[Response]]

# What every endpoint that reads a body can answer.
BODY_PROBLEMS = (MalformedJson, InvalidRequest, BodyTooLarge, UnsupportedMediaType)


class Endpoint(Struct, frozen=True, kw_only=True):
    """`scope`: what the key needs; `any`: a valid key is enough; None: no key is asked for.
    `limited`: the rate limit that applies. `probe`: polled by load balancers and scrapers, so
    neither traced nor logged while it answers 200.

    Its operation id is the name of the handler. `problems`: what every endpoint with a scope can
    answer is left out.

    `response`: None where the answer is not JSON of Relay. `status`: of a success. `query`: its
    fields are the parameters. `headers` and `answers`: header names of requests and answers.
    `others`: what it answers beside `response` and problems, by status: JSON, or no body.
    `aliases`: paths that are served alike, for clients that do not follow a redirect.
    """

    method: str
    path: str
    handler: Handler
    scope: Needed | None
    summary: str
    limited: Limited | None = None
    probe: bool = False
    request: type[Struct] | None = None
    query: type[Struct] | None = None
    response: type[Struct] | None = None
    status: int = 200
    problems: Sequence[type[Problem]] = ()
    others: Mapping[int, type[Struct] | None] = {}
    aliases: Sequence[str] = ()
    headers: Sequence[str] = ()
    answers: Sequence[str] = ()

    @property
    def operation_id(self) -> str:
        return self.handler.__name__

    @property
    def tag(self) -> str:
        """The name of the resource: that of the handler's module, such as `Signing secrets`."""
        return self.handler.__module__.rpartition(".")[2].replace("_", " ").capitalize()

    def failures(self) -> frozenset[int]:
        """The statuses from 500 on that it can answer."""
        problems: tuple[type[Problem], ...] = (*self.problems, StoreUnavailable, InternalError)
        return frozenset(problem.status for problem in problems if problem.status >= 500)
