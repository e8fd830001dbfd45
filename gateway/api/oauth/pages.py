"""The pages for a person who connects an account: the start, and the way back from the provider.

A GET of the start changes nothing, since programs open links for a preview of them. Its button is
a POST of this very page: it spends the ticket and gives the browser its cookie. No page holds a
script, a code or a state.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gateway.access.sealing import UnknownKey
from gateway.access.sessions import check_site
from gateway.api.endpoint import Endpoint
from gateway.api.oauth import html
from gateway.api.state import State
from gateway.connections.consent.flow import CALLBACK, Back, OAuth
from gateway.connections.consent.handshake import NotConnected
from gateway.problems import CrossSite
from stores.redis.scripts import RedisUnavailable

START = "/oauth/start/{ticket}"
# As long as a state.
COOKIE_SECONDS = 600
PARAMETERS_MAX = 50


async def start_page(request: Request[State]) -> Response:
    oauth = request.state["oauth"]
    try:
        ticket = await oauth.shown(request.path_params["ticket"])
    except (NotConnected, RedisUnavailable) as error:
        return _refused(error)
    facts = oauth.clients[ticket.provider].facts
    asked = [*facts.identity, *ticket.scopes]
    page = html.start(facts.title, ticket.workspace, asked, ticket.expected_account)
    # With `no-referrer` the POST of the button would not say from where it comes.
    return _page(page, form_to=_origin(facts.authorize), referrer="same-origin")


async def start(request: Request[State]) -> Response:
    oauth = request.state["oauth"]
    try:
        check_site(request, page_needed=True)
        started = await oauth.start(request.path_params["ticket"])
    except (NotConnected, RedisUnavailable, UnknownKey, CrossSite) as error:
        return _refused(error)
    headers = {"Location": started.location, "Referrer-Policy": "no-referrer"}
    answer = Response(status_code=303, headers=headers)
    answer.headers.append("Set-Cookie", _cookie(oauth, started.cookie, started.value))
    return answer


async def callback(request: Request[State]) -> Response:
    oauth = request.state["oauth"]
    query = _query(request)
    back = Back(
        query=query,
        cookies=request.cookies,
        address=request.state["admission"].address(request),
        request_id=request.state["request_id"],
    )
    try:
        if "state" not in query and query.get("admin_consent"):
            return _page(html.consented())
        row = await oauth.callback(back)
    except (NotConnected, RedisUnavailable, UnknownKey) as error:
        answer = _refused(error)
    else:
        await request.state["key_cache"].try_refresh()
        title = oauth.clients[row.provider].facts.title
        answer = _page(html.connected(title, row.account, row.workspace))
    if "state" in query:
        cookie = _cookie(oauth, oauth.cookie_name(query["state"]), "")
        answer.headers.append("Set-Cookie", cookie)
    return answer


def _query(request: Request[State]) -> Mapping[str, str]:
    """Nothing where a parameter is repeated: two readers could read it in two ways."""
    given = request.query_params.multi_items()
    once = dict(given)
    return once if len(once) == len(given) <= PARAMETERS_MAX else {}


def _cookie(oauth: OAuth, name: str, value: str) -> str:
    lasts = COOKIE_SECONDS if value else 0
    secure = "; Secure" if name.startswith("__Host-") else ""
    # Lax: the way back from the provider is a top-level GET of another site.
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lasts}{secure}"


def _refused(error: Exception) -> Response:
    if isinstance(error, NotConnected):
        return _page(html.refused(str(error), error.link), status=400)
    if isinstance(error, CrossSite):
        return _page(html.refused("Only the button of the start page goes on.", None), status=403)
    sentence = "Relay cannot go on at the moment. Try again in a minute."
    return _page(html.refused(sentence, None), status=503)


def _page(
    text: str, *, status: int = 200, form_to: str = "", referrer: str = "no-referrer"
) -> Response:
    form_action = f"'self' {form_to}" if form_to else "'none'"
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src '{html.STYLE_HASH}'; form-action {form_action}; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": referrer,
        "X-Frame-Options": "DENY",
    }
    return Response(text, status, headers, "text/html")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _served(method: str, path: str, handler: Any, summary: str, status: int = 200) -> Endpoint:
    return Endpoint(
        method=method, path=path, handler=handler, scope=None, summary=summary, status=status
    )


ENDPOINTS = (
    _served("GET", START, start_page, "A page that says what will be connected"),
    _served("POST", START, start, "Go on to the provider", 303),
    _served("GET", CALLBACK, callback, "Come back from the provider"),
)
