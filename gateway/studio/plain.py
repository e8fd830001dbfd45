"""The page to which the links of notices lead without Studio: it says which command decides.

It is the same for every id, needs no key, reads nothing and changes nothing, so that programs that
open links for a preview of them do no harm.
"""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.endpoint import Endpoint
from gateway.api.state import State

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="robots" content="noindex">
<title>An approval in Relay</title>
<h1>An approval in Relay</h1>
<p>The last part of this page's address is the id of the approval. With it, an approver sees the
exact request and decides:</p>
<pre>relay approvals show ID
relay approvals approve ID
relay approvals deny ID</pre>
</html>
"""


async def approval_page(request: Request[State]) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Response(PAGE, media_type="text/html", headers=headers)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/studio/approvals/{preview_id}",
        handler=approval_page,
        scope=None,
        summary="A page that says which command decides on an approval",
    ),
)
