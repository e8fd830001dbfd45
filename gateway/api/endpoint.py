"""One endpoint: what serves it, who may use it, and what the OpenAPI document says of it."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.access.limits import Limited
from gateway.access.roles import Scope
from gateway.api.state import State
from gateway.problems import InternalError, Problem, StoreUnavailable

Handler = Callable[[Request[State]], Awaitable[Response]]


class Endpoint(Struct, frozen=True, kw_only=True):
    """`scope`: None for everyone. `limited`: the rate limit that applies. `probe`: polled by load
    balancers and scrapers, so neither traced nor logged while it answers 200.

    `response`: None where the answer is not JSON of Relay. `status`: of a success. `query`: its
    fields are the parameters. `headers` and `answers`: header names of requests and answers.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    operation_id: str
    tag: str
    summary: str
    limited: Limited | None = None
    probe: bool = False
    request: type[Struct] | None = None
    query: type[Struct] | None = None
    response: type[Struct] | None = None
    status: int = 200
    problems: Sequence[type[Problem]] = ()
    headers: Sequence[str] = ()
    answers: Sequence[str] = ()

    def failures(self) -> frozenset[int]:
        """The statuses from 500 on that it can answer."""
        problems: tuple[type[Problem], ...] = (*self.problems, StoreUnavailable, InternalError)
        return frozenset(problem.status for problem in problems if problem.status >= 500)
