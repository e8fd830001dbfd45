"""The handlers of what has happened: runs and audit, from the durable store.

Each answer is of the asker's own workspace, whatever the cursor says.
"""

from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import listings
from gateway.archive import Archive
from gateway.declining import asking
from gateway.documents import INTERRUPTED, Result, RunDocument, RunError, RunStatus, timestamp
from gateway.queries import AuditQuery, RunsQuery, epoch_ms, query, refused
from stores.entries import Entry

if TYPE_CHECKING:
    from gateway.endpoints import State
    from stores.sql.pages import AuditPage, Filter, RunRow, RunsPage

NO_RESPONSE = RunError(code="no_response", detail="No answer of the target came back.")


async def list_runs(request: "Request[State]") -> Response:
    asked = query(request, RunsQuery)
    page = await _runs(request.state["archive"], request.state["principal"].workspace, asked)
    return _body(
        listings.RunsBody(
            runs=[listings.run(row) for row in page.rows],
            next_cursor=_cursor(page.before),
            request_id=request.state["request_id"],
        )
    )
