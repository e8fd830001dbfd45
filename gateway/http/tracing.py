"""What the server span says of a request (semantic conventions for HTTP 1.44, server)."""

import re
from collections.abc import Mapping

from starlette.types import Scope

from gateway.telemetry.spans import Span

# Anything else is one word, as the semantic conventions ask: a method is a label.
OTHER = "_OTHER"
METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY".split())
# What a client may put into a span: thousands of spans wait for the collector.
TEXT_MAX = 256
# Of one that was put where its id belongs, the id stays.
API_KEY = re.compile(r"(rly_(?:live|test)_\w{8})\w+")


def method(scope: Scope) -> str:
    named: str = scope["method"]
    return named if named in METHODS else OTHER


def endpoint(scope: Scope) -> str:
    """The route's template: a label must have few values."""
    route = scope.get("route")
    return route.path if route else "unmatched"


def describe(server: Span, scope: Scope, given: Mapping[str, str]) -> None:
    """What is known at the start."""
    said = server.attrs
    said["http.request.method"] = method(scope)
    if method(scope) == OTHER:
        said["http.request.method_original"] = scope["method"][:TEXT_MAX]
    said["url.path"] = API_KEY.sub(r"\1", scope["path"])[:TEXT_MAX]
    said["url.scheme"] = scope["scheme"]
    said["network.protocol.version"] = scope["http_version"]
    address, port = scope.get("server") or (None, None)
    if address and port:  # neither of a unix socket
        said["server.address"], said["server.port"] = address, port
    if scope.get("client"):
        said["client.address"] = scope["client"][0]
    if "user-agent" in given:
        said["user_agent.original"] = given["user-agent"][:TEXT_MAX]


def conclude(server: Span, method: str, endpoint: str, status: int) -> None:
    """What is known at the end."""
    said = server.attrs
    verb = "HTTP" if method == OTHER else method
    server.rename(verb if endpoint == "unmatched" else f"{verb} {endpoint}")
    if endpoint != "unmatched":
        said["http.route"] = endpoint
    if status:
        said["http.response.status_code"] = status
    if status >= 500 and not server.failed:
        server.fail(str(status))
    for name, fact in server.trace.fields.items():
        said[f"relay.{name}"] = fact
