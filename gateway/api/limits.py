"""Limits: what the caller's key and its workspace may use, and what they use now.

Only the command line changes them (`relay workspaces`): no key may raise its own.
"""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.state import State
from gateway.http.responses import json_response
from stores.redis.limits import Left, Rates


class RateBody(Struct, kw_only=True):
    """Requests a minute, of the key and of the whole workspace, and how many are left now. Null:
    no limit.
    """

    per_key: int | None
    per_key_left: int | None
    per_workspace: int | None
    per_workspace_left: int | None


class RunsLimitBody(Struct, kw_only=True):
    """`total`: how many runs the workspace may have in flight, and `per_target` of them to one
    target. `in_flight`: how many it has now. Null: no limit.
    """

    total: int | None
    per_target: int | None
    in_flight: int


class LimitsBody(Struct, kw_only=True):
    previews: RateBody
    executes: RateBody
    runs: RunsLimitBody
    request_id: str


async def get_limits(request: Request[State]) -> Response:
    principal = request.state["principal"]
    usage = await request.state["engine"].usage(principal)
    body = LimitsBody(
        previews=_rate(principal.previews, usage.previews),
        executes=_rate(principal.executes, usage.executes),
        runs=RunsLimitBody(
            total=principal.slots.total or None,
            per_target=principal.slots.per_target or None,
            in_flight=usage.in_flight,
        ),
        request_id=request.state["request_id"],
    )
    return json_response(body)


def _rate(rates: Rates, left: Left) -> RateBody:
    return RateBody(
        per_key=rates.per_key or None,
        per_key_left=left.of_key,
        per_workspace=rates.per_workspace or None,
        per_workspace_left=left.of_workspace,
    )
