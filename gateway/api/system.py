"""Health, readiness, version, metrics and the OpenAPI document."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.state import State
from gateway.http.responses import JSON, CheckBody, json_response
from gateway.problems import NotFound, NotReady
from gateway.telemetry import metrics
from gateway.version import VERSION


class HealthBody(Struct, kw_only=True):
    status: Literal["alive"] = "alive"
    request_id: str


class ReadyBody(Struct, kw_only=True):
    status: Literal["ready"] = "ready"
    checks: Sequence[CheckBody]
    request_id: str


class VersionBody(Struct, kw_only=True):
    name: Literal["relay-gateway"] = "relay-gateway"
    version: str
    request_id: str


async def health(request: Request[State]) -> Response:
    return json_response(HealthBody(request_id=request.state["request_id"]))


async def ready(request: Request[State]) -> Response:
    checks = [
        CheckBody(name=name, verdict=verdict, detail=detail)
        for name, verdict, detail in await request.state["readiness"].checks()
    ]
    if failed := [check.name for check in checks if check.verdict == "failed"]:
        raise NotReady(f"Failed: {', '.join(failed)}.", checks=checks)
    return json_response(ReadyBody(checks=checks, request_id=request.state["request_id"]))


async def version(request: Request[State]) -> Response:
    return json_response(VersionBody(version=VERSION, request_id=request.state["request_id"]))


async def read_metrics(request: Request[State]) -> Response:
    if not request.state["counting"]:
        raise NotFound("TELEMETRY_ENABLED or TELEMETRY_BACKEND switches metrics off here.")
    exposition, media_type = metrics.exposition(request.headers.get("accept", ""))
    return Response(exposition, headers={"Content-Type": media_type})


async def openapi(request: Request[State]) -> Response:
    return Response(request.state["openapi"], media_type=JSON)
