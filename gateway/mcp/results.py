"""What tools answer: text for the model, the document for programs.

Most clients show a model the text alone. An answer of a target is foreign text that a model will
read: it stands behind a line that says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.effects import Credential
from gateway.execution.documents import RunBody, RunDocument, with_request_fields
from gateway.http.responses import ApprovalNeeded, problem_body
from gateway.http.schemas import inlined
from gateway.mcp.protocol import OWN
from gateway.problem import Problem
from gateway.timestamps import timestamp

# Characters of a body or of an answer that the text repeats.
TEXT_MAX = 2000
AWAITING = "awaiting_approval"

# What ends a call without a success.
_NO_SUCCESS = ("failed", "unknown", "not_sent")
_UNKNOWN = (
    "It cannot be known whether the request arrived. Do not preview it again: ask a person, or "
    "look at the target. Calling execute again gives this same answer."
)
_REPLAYED = "This run was made before; nothing was sent now."

Result = dict[str, Any]


class _Effect(Struct):
    method: str
    url: str
    body: str | None
    digest: str
    credential: Credential | None = None


class _Preview(Struct):
    preview_id: str
    summary: str
    warnings: Sequence[str]
    effect: _Effect
    expires_at: str
    approval: ApprovalNeeded | None


class Waiting(Struct, kw_only=True):
    """A preview that may not be executed yet."""

    preview_id: str
    status: str = AWAITING
    approval: ApprovalNeeded
    request_id: str


_preview = msgspec.json.Decoder(_Preview)
_run = msgspec.json.Decoder(RunDocument)


def _schema_of_runs() -> dict[str, Any]:
    """Of a run, or of what a preview waits for: clients compare every answer with it."""
    run, waiting = inlined(RunBody), inlined(Waiting)
    members = run["properties"]
    members["status"]["enum"].append(AWAITING)
    members["approval"]["anyOf"].append(waiting["properties"]["approval"])
    return {
        "type": "object",
        "properties": members,
        "required": [name for name in waiting["required"] if name in run["required"]] + ["status"],
    }


RUN_SCHEMA = _schema_of_runs()


def _result(
    *texts: str, document: bytes | None, meta: Mapping[str, object], is_error: bool = False
) -> Result:
    return {
        "content": [{"type": "text", "text": text} for text in texts],
        **({"structuredContent": Raw(document)} if document else {}),
        "isError": is_error,
        "_meta": {f"{OWN}{name}": value for name, value in meta.items() if value is not None},
    }


def preview_result(document: bytes, *, meta: Mapping[str, object]) -> Result:
    """`document`: the answer of a preview."""
    preview = _preview.decode(document)
    effect = preview.effect
    lines = [
        preview.summary,
        *(f"Warning: {warning}" for warning in preview.warnings),
        f"{effect.method} {effect.url}",
        *([f"Sent as {effect.credential.account}"] if effect.credential else ()),
        *_quoted("Body", effect.body),
        f"Digest: {effect.digest}",
        f"Nothing was sent. It can be executed until {preview.expires_at}: call execute with "
        f"preview_id {preview.preview_id} and this summary.",
    ]
    if preview.approval:
        lines[-1] = (
            f"Nothing was sent. {_needed(preview.approval)} Then call execute with preview_id "
            f"{preview.preview_id} and this summary."
        )
    return _result("\n".join(lines), document=document, meta=meta)


def _quoted(what: str, text: str | None) -> Sequence[str]:
    if not text:
        return ()
    cut = "" if len(text) <= TEXT_MAX else f", its first {TEXT_MAX} of {len(text)} characters"
    return (f"{what}{cut}:", text[:TEXT_MAX])


def _needed(approval: ApprovalNeeded) -> str:
    page = f" on {approval.url}" if approval.url else ""
    return f"Another person has to approve it{page} by {approval.decide_by}."


def run_result(
    document: bytes,
    *,
    replayed: bool = False,
    expires_at_ms: int | None = None,
    meta: Mapping[str, object],
) -> Result:
    """`document`: the answer of a run. `expires_at_ms`: until when retries get it."""
    run = _run.decode(document)
    lines = [f"Run {run.run_id} of {run.action}: {run.status}."]
    if run.error:
        lines.append(run.error.detail)
    if run.status == "running":
        lines.append("It has no answer yet. Call the tool again.")
    if run.status == "unknown":
        lines.append(_UNKNOWN)
    if run.result:
        lines.append(f"The target answered {run.result.status_code}.")
        lines += _quoted(
            "What follows are the words of the target, not of Relay", run.result.response
        )
    expires_at = timestamp(expires_at_ms) if expires_at_ms else None
    return _result(
        "\n".join(lines),
        *((_REPLAYED,) if replayed else ()),
        document=document,
        meta={"replayed": replayed or None, "idempotency-expires": expires_at, **meta},
        is_error=run.status in _NO_SUCCESS,
    )


def waiting_result(
    preview_id: str, approval: ApprovalNeeded, request_id: str, *, meta: Mapping[str, object]
) -> Result:
    text = (
        f"Nothing was sent. {_needed(approval)} Call execute again with the same preview_id; "
        "no tool approves it."
    )
    waiting = Waiting(preview_id=preview_id, approval=approval, request_id=request_id)
    return _result(text, document=msgspec.json.encode(waiting), meta=meta)


def page_request(url: str, summary: str) -> Result:
    """Ask the client to lead its person to the page of an approval. That the page was opened
    approves nothing.
    """
    message = f"An approval is needed before Relay sends this: {summary}"
    page = {"mode": "url", "url": url, "message": message}
    return {
        "resultType": "input_required",
        "inputRequests": {"approve": {"method": "elicitation/create", "params": page}},
    }


def document_result(document: bytes, *, meta: Mapping[str, object]) -> Result:
    return _result(document.decode(), document=document, meta=meta)


def problem_result(problem: Problem, request_id: str, *, meta: Mapping[str, object]) -> Result:
    """Without `structuredContent`, which clients would compare with the schema of a run."""
    body = msgspec.json.encode(problem_body(problem, request_id))
    if after := problem.headers.get("Retry-After"):
        body = with_request_fields(body, retry_after=int(after))
    return _result(body.decode(), document=None, meta=meta, is_error=True)
