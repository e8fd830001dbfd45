"""Receipts of runs and approvals, made from the audit, and the keys that verify them."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.api.deciding.approvals import history, may_see
from gateway.api.errors import database_problems
from gateway.api.state import State, workspace
from gateway.approvals.inbox import not_found
from gateway.approvals.receipts import Envelope, PublicKey, Receipt, of_approval, of_run
from gateway.http.responses import json_response
from gateway.problem import Problem
from stores.audit import entries
from stores.audit.signatures import Recorded
from stores.sql.approvals import ApprovalRow


class KeySet(Struct, kw_only=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: Sequence[PublicKey]


class _Status(Struct):
    status: str


_status = msgspec.json.Decoder(_Status)


async def get_run_receipt(request: Request[State]) -> Response:
    run_id: str = request.path_params["run_id"]
    found = await _run_entries(request, run_id)
    if len(found) < 2:
        raise await _unfinished(request, run_id, known=bool(found))
    return _signed(request, of_run(*found))


async def get_approval_receipt(request: Request[State]) -> Response:
    preview_id: str = request.path_params["preview_id"]
    row = await history(request, preview_id)
    if row is not None and not may_see(request, row.requester):
        raise not_found()
    if row is None or row.state == "pending":
        raise await _undecided(request, preview_id)
    run = await _run_entries(request, row.run_id) if row.run_id else []
    if row.run_id and len(run) < 2:
        raise await _unfinished(request, row.run_id, known=True)
    return _signed(request, of_approval(await _approval_entries(request, row), run))


async def list_receipt_keys(request: Request[State]) -> Response:
    return json_response(KeySet(keys=request.state["receipts"].public_keys()))


def _signed(request: Request[State], receipt: Receipt) -> Response:
    envelope: Envelope = request.state["receipts"].sign(receipt)
    return json_response(envelope)


async def _run_entries(request: Request[State], run_id: str) -> list[Recorded]:
    """The intent and the ending of a run, as far as the database has them."""
    if "\0" in run_id:  # PostgreSQL refuses such text
        return []
    sources = [f"{run_id}:run.intended", f"{run_id}:run.ended"]
    with database_problems():
        database = request.state["database"]
        if (opened := await database.existing()) is None:
            return []
        async with opened.connect() as connection:
            return await entries.by_source(
                connection, database.chain(), workspace(request), sources
            )


async def _approval_entries(request: Request[State], row: ApprovalRow) -> list[Recorded]:
    with database_problems():
        database = request.state["database"]
        async with (await database.open()).connect() as connection:
            found = await entries.by_seq(
                connection, database.chain(), workspace(request), row.all_entries
            )
    return [entry for entry in found if entry.event.startswith("approval.")]


async def _unfinished(request: Request[State], run_id: str, *, known: bool) -> Problem:
    """Why a run has no receipt yet. Raises RunNotFound."""
    try:
        document = await request.state["engine"].find_run(request.state["principal"], run_id)
    except problems.RunNotFound:
        if not known:
            raise
        return _not_recorded("run")  # it is not sent, or forgotten
    if _status.decode(document).status != "running":
        return _not_recorded("run")
    return problems.RunInProgress(
        "The run has no outcome yet.", run_id=run_id, headers={"Retry-After": "1"}
    )


async def _undecided(request: Request[State], preview_id: str) -> Problem:
    """Why an approval has no receipt yet. Raises PreviewNotFound."""
    found = await request.state["inbox"].find(request.state["principal"], preview_id)
    if not may_see(request, found.requester):
        raise not_found()
    if found.state == "pending":
        return problems.ApprovalPending("The preview waits for a decision.")
    return _not_recorded("approval")


def _not_recorded(what: str) -> problems.ReceiptNotReady:
    return problems.ReceiptNotReady(
        f"The audit has not recorded the end of this {what} yet. Ask again.",
        headers={"Retry-After": "2"},
    )
