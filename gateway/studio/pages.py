"""Serves Studio from memory: one page for every path, and its files under a hash of them all.

A file never changes under its address, so browsers keep it. The page is asked for anew, so that an
upgrade shows at once. Scripts and connections come from and go to Relay alone.
"""

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from posixpath import dirname, join, normpath
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.api.endpoint import Endpoint, Handler
from gateway.api.state import State
from gateway.problems import NotFound

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html relay-worker"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
    "publickey-credentials-get=(self)",
}
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript"}
SERVED = (".css", ".html", ".js")
IMPORT = re.compile(rb'^(?:import\b[^"\n]*|} from )"(\.[^"]+)"', re.MULTILINE)
FOREVER = "public, max-age=31536000, immutable"


class Web(NamedTuple):
    """`version`: of all files. `page`: index.html, with the addresses of this version and the names
    of the scripts that its start imports, for which a browser then asks at once.
    """

    version: str
    page: bytes
    files: dict[str, bytes]


@cache
def web() -> Web:
    found = dict(sorted(_read(files("gateway.studio").joinpath("web"), "").items()))
    digest = sha256()
    for name, content in found.items():
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    version = digest.hexdigest()[:16]
    preloads = "".join(
        f'<link rel="modulepreload" href="/studio/a/VERSION/{name}">'
        for name in sorted(_imports(found, "main.js"))
    )
    page = found["index.html"].replace(b"</head>", preloads.encode() + b"</head>")
    page = page.replace(b"/studio/a/VERSION/", f"/studio/a/{version}/".encode())
    return Web(version, page, found)


def _imports(files: dict[str, bytes], name: str) -> set[str]:
    """What a script imports at its start, and what that imports."""
    found, waiting = set[str](), {name}
    while waiting:
        found |= waiting
        waiting = {
            normpath(join(dirname(script), other.decode()))
            for script in waiting
            for other in IMPORT.findall(files[script])
        } - found
    return found - {name}


def _read(folder: Traversable, prefix: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SERVED):
            found[prefix + entry.name] = entry.read_bytes()
    return found


async def studio_page(request: Request[State]) -> Response:
    tag = f'"{web().version}"'
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(web().page, media_type="text/html", headers=headers)


async def studio_file(request: Request[State]) -> Response:
    """Raises NotFound, for files of another version too."""
    version, *names = request.path_params.values()
    name = "/".join(names)
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
    if version != web().version or name not in web().files or media_type is None:
        raise NotFound("This gateway has another version of Studio. Load the page again.")
    headers = {**HEADERS, "Cache-Control": FOREVER}
    return Response(web().files[name], media_type=media_type, headers=headers)


async def root(request: Request[State]) -> Response:
    """Redirect a browser to Studio."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFound("GET /openapi.json lists the paths.")
    return RedirectResponse("studio/approvals", headers={"Vary": "Accept"})


def _served(path: str, handler: Handler = studio_page, summary: str = "Studio") -> Endpoint:
    return Endpoint(method="GET", path=path, handler=handler, scope=None, summary=summary)


ENDPOINTS = (
    _served("/", root, "Redirect a browser to Studio"),
    _served("/studio"),
    _served("/studio/{screen}"),
    _served("/studio/{screen}/{id}"),
    _served("/studio/a/{version}/{name}", studio_file, "A file of Studio"),
    _served("/studio/a/{version}/{folder}/{name}", studio_file, "A file of Studio"),
    _served("/studio/a/{version}/{folder}/{package}/{name}", studio_file, "A file of Studio"),
)
