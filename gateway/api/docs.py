"""The API reference in the browser: Swagger UI's published files (npm: swagger-ui-dist 5.35.0,
Apache-2.0), unchanged, served by Relay itself.

The policy lets scripts come from Relay alone. Swagger UI sets styles inline, so this page, and no
other, allows that.
"""

from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.api.state import State
from gateway.problems import NotFound

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
MEDIA_TYPES = {
    "index.html": "text/html",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


async def root(request: Request[State]) -> Response:
    """Redirect a browser to the reference."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFound("GET /openapi.json lists the paths.")
    return RedirectResponse("docs", headers={"Vary": "Accept"})


async def docs_page(request: Request[State]) -> Response:
    return _file("index.html", {"Content-Security-Policy": POLICY})


async def docs_file(request: Request[State]) -> Response:
    name = request.path_params["name"]
    if name not in MEDIA_TYPES:
        raise NotFound("GET /docs is the API reference.")
    return _file(name, {"Cache-Control": "public, max-age=3600"})


def _file(name: str, headers: dict[str, str]) -> Response:
    return Response(_content(name), media_type=MEDIA_TYPES[name], headers=headers)


@cache
def _content(name: str) -> bytes:
    return files("gateway.api").joinpath("swagger_ui", name).read_bytes()
