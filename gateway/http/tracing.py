"""Attributes of the server span (semantic conventions for HTTP 1.44, server)."""

import re
from collections.abc import Mapping

from starlette.types import Scope

from gateway.telemetry.spans import Span

# The word for any other method (semantic conventions): a label must have few values.
OTHER = "_OTHER"
METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY".split())
# Characters that a client may put into a span. Thousands of spans wait for the collector.
TEXT_MAX = 256
# A key in the path, where its id belongs. The span keeps the id.
API_KEY = re.compile(r"(rly_(?:live|test)_\w{8})\w+")

# What follows is known to the person alone who got the link.
TICKET = re.compile(r"^(/oauth/start/).+", re.DOTALL)


def method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else OTHER


def endpoint(scope: Scope) -> str:
    """The template of the route: a label must have few values."""
    route = scope.get("route")
    return route.path if route else "unmatched"


def describe(server: Span, scope: Scope, given: Mapping[str, str]) -> None:
    """Set the attributes that are known at the start."""
    attributes = server.attrs
    attributes["http.request.method"] = method(scope)
    if method(scope) == OTHER:
        attributes["http.request.method_original"] = scope["method"][:TEXT_MAX]
    attributes["url.path"] = _shown(scope["path"])
    attributes["url.scheme"] = scope["scheme"]
    attributes["network.protocol.version"] = scope["http_version"]
    address, port = scope.get("server") or (None, None)
    if address and port:  # a unix socket has neither
        attributes["server.address"], attributes["server.port"] = address, port
    if scope.get("client"):
        attributes["client.address"] = scope["client"][0]
    if "user-agent" in given:
        attributes["user_agent.original"] = given["user-agent"][:TEXT_MAX]


def _shown(path: str) -> str:
    return TICKET.sub(r"\1REDACTED", API_KEY.sub(r"\1", path))[:TEXT_MAX]


def end(server: Span, method: str, endpoint: str, status: int) -> None:
    """Set the attributes that are known at the end."""
    attributes = server.attrs
    verb = "HTTP" if method == OTHER else method
    path = verb if endpoint == "unmatched" else f"{verb} {endpoint}"
    server.rename(server.trace.operation or path)
    if endpoint != "unmatched":
        attributes["http.route"] = endpoint
    if status:
        attributes["http.response.status_code"] = status
    if status >= 500 and not server.failed:
        server.fail(str(status))
    for name, value in server.trace.fields.items():
        attributes[f"relay.{name}"] = value
