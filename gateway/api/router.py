"""Serves the table of endpoints: a path without parameters is looked up, others are matched.

Starlette's middleware and router add 40 microseconds to a request; its Router runs the lifespan.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router as Lifespan
from starlette.types import Receive, Scope, Send

from gateway.api.endpoint import Endpoint
from gateway.api.errors import HANDLERS, unforeseen
from gateway.api.state import State
from gateway.problems import MethodNotAllowed, NotFound

Methods = Mapping[str, Endpoint]


class Router:
    def __init__(self, endpoints: Iterable[Endpoint], lifespan: Lifespan) -> None:
        self._lifespan = lifespan
        self._paths: dict[str, dict[str, Endpoint]] = defaultdict(dict)
        for endpoint in endpoints:
            for path in (endpoint.path, *endpoint.aliases):
                self._paths[path][endpoint.method] = endpoint
                if endpoint.method == "GET":
                    self._paths[path]["HEAD"] = endpoint
        self._templates = {
            re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)): methods
            for path, methods in self._paths.items()
            if "{" in path
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        request: Request[State] = Request(scope, receive)
        try:
            response = await _serve(request, self._methods(scope))
        except tuple(HANDLERS) as error:
            handler = next(HANDLERS[kind] for kind in HANDLERS if isinstance(error, kind))
            response = handler(request, error)
        except Exception:
            await unforeseen(request)(scope, receive, send)
            raise
        for cookie in request.scope["state"].get("cookies", ()):
            response.headers.append("Set-Cookie", cookie)
        await response(scope, receive, send)

    def _methods(self, scope: Scope) -> Methods:
        """What the path accepts; nothing for a path that does not exist."""
        path = scope["path"]
        if path in self._paths and "{" not in path:
            return self._paths[path]
        for template, methods in self._templates.items():
            if match := template.fullmatch(path):
                scope["path_params"] = match.groupdict()
                return methods
        return {}


async def _serve(request: Request[State], methods: Methods) -> Response:
    """Raises Problem."""
    if not methods:
        raise NotFound("GET /openapi.json lists the paths.")
    request.scope["route"] = next(iter(methods.values()))
    endpoint = methods.get(request.method)
    if endpoint is None:
        allowed = ", ".join(methods)
        raise MethodNotAllowed(f"This path accepts {allowed}.", headers={"Allow": allowed})
    if endpoint.scope is not None:
        request.scope["state"]["limited"] = endpoint.limited
        request.state["admission"].admit(request, endpoint.scope)
    return await endpoint.handler(request)
