"""Preview and execute actions; list actions; show a preview."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.api.state import State
from gateway.approvals.documents import approval_needed
from gateway.execution.documents import preview_answer, with_request_fields
from gateway.execution.engine import Engine, Previewed
from gateway.http import requests
from gateway.http.requests import PreviewId
from gateway.http.responses import JSON, json_response
from gateway.timestamps import timestamp
from stores.redis.limits import Quota

# A name of another form is an unknown action, like any other that Relay does not have.
ActionName = Annotated[
    str,
    Meta(
        extra_json_schema={
            "minLength": 3,
            "maxLength": 100,
            "pattern": r"^[a-z0-9_]+(\.[a-z0-9_]+)+$",
        }
    ),
]


class PreviewRequest(Struct, forbid_unknown_fields=True):
    action: ActionName
    params: Raw


class ExecuteRequest(Struct, forbid_unknown_fields=True):
    preview_id: PreviewId


class ActionBody(Struct, kw_only=True):
    """`params`: the JSON Schema of what the action accepts."""

    name: str
    provider: str
    title: str
    enabled: bool
    params: dict[str, Any]


class ActionsBody(Struct, kw_only=True):
    actions: Sequence[ActionBody]
    request_id: str


_preview_request = msgspec.json.Decoder(PreviewRequest)
_execute_request = msgspec.json.Decoder(ExecuteRequest)


async def preview(request: Request[State]) -> Response:
    engine = enabled_engine(request)
    asked = await requests.read(request, _preview_request, verbatim=("params", "body"))
    made = await engine.preview(request.state["principal"], asked.action, asked.params)
    return _with_quota(request, _previewed(request, made), made.quota)


async def execute(request: Request[State]) -> Response:
    engine = enabled_engine(request)
    key, wait = requests.idempotency_key(request), requests.wait(request)
    asked = await requests.read(request, _execute_request)
    result = await engine.execute(request.state["principal"], asked.preview_id, key=key, wait=wait)
    response = document(request, result.document)
    # None of these is there yet: `headers` would look, which takes 3 us.
    added = response.raw_headers
    added.append((b"location", f"/runs/{result.run_id}".encode()))
    if result.replayed:
        added.append((b"idempotent-replayed", b"true"))
    if result.expires_at_ms:
        added.append((b"idempotency-expires", timestamp(result.expires_at_ms).encode()))
    return _with_quota(request, response, result.quota)


async def list_actions(request: Request[State]) -> Response:
    return json_response(listed_actions(request))


def listed_actions(request: Request[State]) -> ActionsBody:
    """Raises ActionsDisabled."""
    actions = [
        ActionBody(
            name=action.name,
            provider=action.provider,
            title=action.title,
            enabled=action.enabled,
            params=msgspec.json.schema(action.params),
        )
        for action in enabled_engine(request).actions.values()
    ]
    return ActionsBody(actions=actions, request_id=request.state["request_id"])


async def get_preview(request: Request[State]) -> Response:
    engine = request.state["engine"]
    found = await engine.find_preview(request.state["principal"], request.path_params["preview_id"])
    return _previewed(request, found)


def _previewed(request: Request[State], made: Previewed) -> Response:
    return Response(previewed(request, made), media_type=JSON)


def previewed(request: Request[State], made: Previewed) -> bytes:
    """The answer of a preview."""
    asked, approval = made.verdict.requirement, None
    if asked.needs:
        url = request.state["inbox"].page(made.preview_id)
        approval = approval_needed(asked, "pending", made.expires_at_ms, url=url)
    return preview_answer(
        made.document,
        made.effect,
        expires_at=timestamp(made.expires_at_ms),
        approval=approval,
        request_id=request.state["request_id"],
    )


def document(request: Request[State], document: bytes) -> Response:
    """A stored document with the members of this request."""
    request_id = request.state["request_id"]
    return Response(with_request_fields(document, request_id=request_id), media_type=JSON)


def _with_quota(request: Request[State], response: Response, quota: Quota | None) -> Response:
    state = request.state
    assert state["limited"]
    state["rate_limits"].add(response, state["principal"], state["limited"], quota)
    return response


def enabled_engine(request: Request[State]) -> Engine:
    """Raises ActionsDisabled."""
    if not request.state["actions_enabled"]:
        raise problems.ActionsDisabled("ACTIONS_ENABLED is false on this gateway.")
    return request.state["engine"]
