"""The handlers: decode, one call, encode."""

from typing import TypedDict

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.access.admission import Admission
from gateway.access.key_cache import KeyCache
from gateway.access.principal import Principal
from gateway.access.quotas import Quotas
from gateway.api.history import archived_run
from gateway.api.openapi import document
from gateway.audit.journal import Journal
from gateway.database import LazyDatabase
from gateway.execution.documents import timestamp, with_request_fields
from gateway.execution.engine import Engine
from gateway.http import requests
from gateway.readiness import Readiness
from gateway.telemetry import metrics
from gateway.version import VERSION

JSON = "application/json"

_preview_request = msgspec.json.Decoder(requests.PreviewRequest)
_execute_request = msgspec.json.Decoder(requests.ExecuteRequest)


class Opened(TypedDict):
    """What the process holds."""

    engine: Engine
    readiness: Readiness
    admission: Admission
    quotas: Quotas
    key_cache: KeyCache
    database: LazyDatabase
    journal: Journal
    actions_enabled: bool
    counting: bool


class State(Opened):
    """What a request has. `principal`: where the route asks for a key."""

    request_id: str
    principal: Principal


async def preview(request: Request[State]) -> Response:
    engine = _actions(request)
    asked = await requests.read(request, _preview_request)
    made = await engine.preview(request.state["principal"], asked.action, asked.params)
    return _document(request, made.document, expires_at=timestamp(made.expires_at_ms))


async def execute(request: Request[State]) -> Response:
    engine = _actions(request)
    key, wait = requests.idempotency_key(request), requests.wait(request)
    asked = await requests.read(request, _execute_request)
    principal = request.state["principal"]
    execution = await engine.execute(principal, asked.preview_id, key=key, wait=wait)
    response = _document(request, execution.document)
    response.headers["Location"] = f"/runs/{execution.run_id}"
    if execution.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if execution.expires_at_ms:
        response.headers["Idempotency-Expires"] = timestamp(execution.expires_at_ms)
    return response


async def actions(request: Request[State]) -> Response:
    bodies = [
        requests.ActionBody(
            name=action.name,
            provider=action.provider,
            title=action.title,
            enabled=action.enabled,
            params=msgspec.json.schema(action.params),
        )
        for action in _actions(request).actions.values()
    ]
    return _body(requests.ActionsBody(actions=bodies, request_id=request.state["request_id"]))


async def find_preview(request: Request[State]) -> Response:
    engine = request.state["engine"]
    found = await engine.find_preview(request.state["principal"], request.path_params["preview_id"])
    return _document(request, found.document, expires_at=timestamp(found.expires_at_ms))


async def find_run(request: Request[State]) -> Response:
    principal, run_id = request.state["principal"], request.path_params["run_id"]
    try:
        return _document(request, await request.state["engine"].find_run(principal, run_id))
    except problems.RunNotFound:
        # Redis keeps a run for a day, the database for as long as the audit.
        kept = await archived_run(request.state["database"], principal.workspace, run_id)
        if kept is None:
            raise
        return _document(request, kept)


async def health(request: Request[State]) -> Response:
    return _body(requests.HealthBody(request_id=request.state["request_id"]))


async def ready(request: Request[State]) -> Response:
    checks = [
        problems.CheckBody(name=name, verdict=verdict, detail=detail)
        for name, verdict, detail in await request.state["readiness"].checks()
    ]
    if failed := [check.name for check in checks if check.verdict == "failed"]:
        raise problems.NotReady(f"Failed: {', '.join(failed)}.", checks=checks)
    return _body(requests.ReadyBody(checks=checks, request_id=request.state["request_id"]))


async def version(request: Request[State]) -> Response:
    return _body(requests.VersionBody(version=VERSION, request_id=request.state["request_id"]))


async def read_metrics(request: Request[State]) -> Response:
    if not request.state["counting"]:
        raise problems.NotFound("TELEMETRY_ENABLED or TELEMETRY_BACKEND keeps no metrics here.")
    exposition, media_type = metrics.exposition(request.headers.get("accept", ""))
    return Response(exposition, headers={"Content-Type": media_type})


async def openapi(request: Request[State]) -> Response:
    return Response(document(), media_type=JSON)


def _actions(request: Request[State]) -> Engine:
    if not request.state["actions_enabled"]:
        raise problems.ActionsDisabled("ACTIONS_ENABLED is false here.")
    return request.state["engine"]


def _document(request: Request[State], document: bytes, **moment: str) -> Response:
    moment["request_id"] = request.state["request_id"]
    return Response(with_request_fields(document, **moment), media_type=JSON)


def _body(body: Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type=JSON)
