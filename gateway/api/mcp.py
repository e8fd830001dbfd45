"""Tools of the Model Context Protocol over the engine that the endpoints use.

One JSON answer a request, without sessions. A refusal that a model can mend is a result with
`isError`; a key that is not valid or lacks a scope is refused as everywhere else.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.access.admission import check_scope
from gateway.api.actions import enabled_engine, listed_actions, previewed
from gateway.api.errors import record, store_unavailable
from gateway.api.runs import run_document
from gateway.api.state import State
from gateway.execution.documents import with_request_fields
from gateway.execution.engine import Engine
from gateway.http import requests
from gateway.http.responses import JSON, ApprovalNeeded
from gateway.mcp import protocol, results, telemetry
from gateway.mcp.protocol import Asked, Message, ProtocolError
from gateway.mcp.results import Result
from gateway.mcp.tools import ExecuteArguments, Kind, PreviewArguments, RunArguments, Tool
from gateway.problem import FieldError, Problem, validation_detail
from gateway.telemetry.spans import annotate, current
from stores.redis.limits import Quota
from stores.redis.scripts import RedisUnavailable

# Half of what impatient clients wait for an answer, and more than a send may take: as over HTTP.
WAIT, NO_WAIT = requests.WAIT_DEFAULT, timedelta()

T = TypeVar("T")

_message = msgspec.json.Decoder(Message)


class Called(NamedTuple):
    """`quota`: what is left of the caller's limits, where the store was asked."""

    result: Result
    quota: Quota | None = None


async def mcp(request: Request[State]) -> Response:
    """Raises what admission raises, and CrossSite, BodyTooLarge and UnsupportedMediaType."""
    request.state["origins"].check(request)
    message = asked = None
    try:
        message = await _read(request)
        if message.id is UNSET:  # a notification: over HTTP none changes anything
            return Response(status_code=202)
        asked = protocol.accept(message.id, message, _compared(request))
        called = await _answer(request, asked)
    except ProtocolError as error:
        annotate(rpc_error=error.code)
        id_ = None if message is None or message.id is UNSET else message.id
        status = error.status if asked is None or asked.modern else 200
        return Response(protocol.error_reply(id_, error), status, media_type=JSON)
    response = Response(protocol.reply(asked, called.result), media_type=JSON)
    state = request.scope["state"]
    if limited := state.get("limited"):
        state["rate_limits"].add(response, state["principal"], limited, called.quota)
    return response


def _compared(request: Request[State]) -> dict[str, list[str]]:
    """The values of the headers that repeat what the body says."""
    found: dict[str, list[str]] = {name: [] for name in protocol.COMPARED}
    for name, value in request.scope["headers"]:
        if name.startswith(b"mcp-") and (header := name.decode("latin-1")) in found:
            found[header].append(value.decode("latin-1"))
    return found


async def _read(request: Request[State]) -> Message:
    """Raises ProtocolError, BodyTooLarge and UnsupportedMediaType."""
    try:
        verbatim = request.state["tools"].verbatim
        return await requests.read(request, _message, verbatim=verbatim)
    except problems.MalformedJson as error:
        raise ProtocolError(protocol.PARSE_ERROR, f"{error.title}: {error}") from error
    except problems.InvalidRequest as error:
        raise ProtocolError(protocol.INVALID_REQUEST, f"{error.title}: {error}") from error


async def _answer(request: Request[State], asked: Asked) -> Called:
    """Raises ProtocolError and Forbidden."""
    if asked.method in protocol.METHODS and asked.method != "tools/call":
        telemetry.describe(asked)
    match asked.method:
        case "server/discover" if asked.modern:
            return Called(protocol.discovered())
        case "initialize" if not asked.modern:
            return Called(protocol.initialized(asked.params))
        case "ping" if not asked.modern:
            return Called({})
        case "tools/list":
            return Called(_listed(request, asked))
        case "tools/call":
            return await _called(request, asked)
    detail = f"There is no method {asked.method[:64]}."
    raise ProtocolError(protocol.METHOD_NOT_FOUND, detail, status=404)


def _listed(request: Request[State], asked: Asked) -> dict[str, Any]:
    if asked.params.cursor is not UNSET:
        raise ProtocolError(
            protocol.INVALID_PARAMS, "The list has one page, so no cursor is valid."
        )
    tools = request.state["tools"].listed(request.state["principal"].scopes)
    hints = {"ttlMs": protocol.TOOLS_TTL, "cacheScope": "private"} if asked.modern else {}
    return {"tools": tools, **hints}


async def _called(request: Request[State], asked: Asked) -> Called:
    name = asked.params.name or ""
    tool = request.state["tools"].find(name)
    telemetry.describe(asked, tool.name if tool else "")
    if tool is None:
        raise ProtocolError(protocol.INVALID_PARAMS, f"Unknown tool: {name[:64]}")
    state = request.scope["state"]
    state["limited"] = tool.limited
    principal = state["principal"]
    state["principal"] = replace(principal, via=f"mcp {asked.client}".rstrip())
    check_scope(principal, tool.scope)
    check_scope(principal, tool.needs or "any")
    called = await _tried(request, asked, tool)
    telemetry.called(tool.name, is_error=called.result.get("isError", False))
    return called


async def _tried(request: Request[State], asked: Asked, tool: Tool) -> Called:
    """A refusal of the engine is a result. Raises ProtocolError."""
    try:
        return await CALLS[tool.kind](request, asked, tool)
    except (Problem, RedisUnavailable) as error:
        problem = store_unavailable(error) if isinstance(error, RedisUnavailable) else error
        record(request, problem)
        assert isinstance(problem.quota, Quota | None)
        result = results.problem_result(problem, request.state["request_id"], meta=_meta(request))
        return Called(result, problem.quota)


def _meta(request: Request[State]) -> Mapping[str, object]:
    return {"request-id": request.state["request_id"], "trace-link": current().trace.link}


async def _preview(request: Request[State], asked: Asked, tool: Tool) -> Called:
    return await _prepared(request, tool.action, asked.params.arguments)


async def _preview_any(request: Request[State], asked: Asked, _: Tool) -> Called:
    arguments = _arguments(asked, PreviewArguments)
    return await _prepared(request, arguments.action, arguments.params)


async def _prepared(request: Request[State], action: str, params: Raw) -> Called:
    principal = request.state["principal"]
    made = await enabled_engine(request).preview(principal, action, params)
    summary = made.effect.summary
    request.state["summaries"].add(principal.workspace, made.preview_id, summary)
    document = previewed(request, made)
    return Called(results.preview_result(document, meta=_meta(request)), made.quota)


async def _execute(request: Request[State], asked: Asked, _: Tool) -> Called:
    engine, arguments = enabled_engine(request), _arguments(asked, ExecuteArguments)
    principal, preview_id = request.state["principal"], arguments.preview_id
    key = _key(asked, arguments)
    answered = asked.params.input_responses.get("approve")
    opens_page = asked.opens_pages and not answered
    pending = await _pending(request, arguments, look=opens_page)
    page = request.state["inbox"].page(preview_id)
    if pending and opens_page and page:
        return Called(results.page_request(page, arguments.summary))
    wait = WAIT if answered is None or answered.action == "accept" else NO_WAIT
    try:
        done = await engine.execute(principal, preview_id, key=key, wait=wait)
    except problems.ApprovalPending as pending:
        return _awaiting(request, preview_id, pending)
    except problems.RunInProgress as running:
        return await _in_flight(request, engine, running)
    result = results.run_result(
        _with_id(request, done.document),
        replayed=done.replayed,
        expires_at_ms=done.expires_at_ms,
        meta=_meta(request),
    )
    return Called(result, done.quota)


async def _pending(request: Request[State], arguments: ExecuteArguments, *, look: bool) -> bool:
    """Whether the preview is known to wait for a decision. `look`: ask the store.

    Raises InvalidParams where the summary is another, and RedisUnavailable.
    """
    principal = request.state["principal"]
    preview_id, summary = arguments.preview_id, arguments.summary
    known = request.state["summaries"].has(principal.workspace, preview_id, summary)
    seen = None
    if look or not known:
        seen = await request.state["engine"].look_at(principal, preview_id)
    if seen and seen.summary != summary:
        detail = f"The summary of this preview is: {seen.summary}"
        raise problems.InvalidParams(detail, errors=[FieldError("/summary", detail)])
    return bool(seen and seen.pending)


def _key(asked: Asked, arguments: ExecuteArguments) -> str | None:
    """The key that the model or its host gives. Raises ProtocolError if they differ."""
    keys = {arguments.idempotency_key, asked.params.meta.idempotency_key} - {UNSET}
    if len(keys) > 1:
        detail = "The idempotency keys of the arguments and of _meta differ."
        raise ProtocolError(protocol.INVALID_PARAMS, detail)
    key = next(iter(keys), None)
    return requests.checked_key(key) if key else None


def _awaiting(
    request: Request[State], preview_id: str, pending: problems.ApprovalPending
) -> Called:
    annotate(problem=problems.code(type(pending)))
    assert isinstance(pending.approval, ApprovalNeeded)
    assert isinstance(pending.quota, Quota | None)
    request_id = request.state["request_id"]
    result = results.waiting_result(preview_id, pending.approval, request_id, meta=_meta(request))
    return Called(result, pending.quota)


async def _in_flight(
    request: Request[State], engine: Engine, running: problems.RunInProgress
) -> Called:
    """The run as it is now."""
    assert isinstance(running.run_id, str)
    assert isinstance(running.quota, Quota | None)
    document = await engine.find_run(request.state["principal"], running.run_id)
    result = results.run_result(_with_id(request, document), meta=_meta(request))
    return Called(result, running.quota)


async def _get_run(request: Request[State], asked: Asked, _: Tool) -> Called:
    document = await run_document(request, _arguments(asked, RunArguments).run_id)
    return Called(results.run_result(_with_id(request, document), meta=_meta(request)))


async def _list_actions(request: Request[State], _: Asked, __: Tool) -> Called:
    document = msgspec.json.encode(listed_actions(request))
    return Called(results.document_result(document, meta=_meta(request)))


def _with_id(request: Request[State], document: bytes) -> bytes:
    return with_request_fields(document, request_id=request.state["request_id"])


def _arguments(asked: Asked, kind: type[T]) -> T:
    """Raises InvalidParams."""
    try:
        return msgspec.json.decode(asked.params.arguments, type=kind)
    except msgspec.ValidationError as error:
        where, detail = validation_detail(error)
        raise problems.InvalidParams(detail, errors=[FieldError(where, detail)]) from error


CALLS: Mapping[Kind, Callable[[Request[State], Asked, Tool], Awaitable[Called]]] = {
    "preview": _preview,
    "preview_any": _preview_any,
    "execute": _execute,
    "get_run": _get_run,
    "list_actions": _list_actions,
}
