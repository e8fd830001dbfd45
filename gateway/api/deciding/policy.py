"""The approval policy of the workspace: read it, change it, and ask what it says of a preview."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.errors import database_problems
from gateway.api.state import State, actor, workspace
from gateway.approvals.policies import Layer
from gateway.approvals.policy import Requirement
from gateway.approvals.policy_admin import PolicyAdmin, compiled
from gateway.approvals.policy_file import LONGEST_TEXT, PreviewFacts, StatedFacts
from gateway.http import requests
from gateway.http.requests import query
from gateway.http.responses import json_response
from gateway.problems import InvalidRequest
from gateway.timestamps import Timestamp, timestamp
from stores.approvals import RuleNeed
from stores.sql.policies import PolicyRow

Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]


class PolicyQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`version`: one that was in force; the newest by default."""

    version: Annotated[int, Meta(ge=1, le=999_999_999)] | None = None


class PolicyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`text`: TOML; an empty text removes the policy."""

    text: Text


class PolicyBody(Struct, kw_only=True):
    """`version`: 0 if the workspace never had a policy. `operator_digest`: of the policy that the
    operator of the gateway demands beside it.
    """

    text: str
    version: int
    digest: str | None
    changed_by: str | None
    changed_at: Timestamp | None
    operator_digest: str | None
    request_id: str


class ExplainedPreview(Struct, kw_only=True, forbid_unknown_fields=True):
    action: str
    params: Raw


class ExplainRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Either `facts` or `preview`. `text`: a policy to try instead of the workspace's."""

    facts: StatedFacts | None = None
    preview: ExplainedPreview | None = None
    text: Text | None = None


class LayerBody(Struct, kw_only=True):
    """`rules`: those that match; empty where the default decides."""

    digest: str
    rules: Sequence[str]


class ExplainBody(Struct, kw_only=True):
    """What both policies ask together. `needs`: all must be met. Durations are seconds."""

    denied_by: Sequence[str]
    needs: Sequence[RuleNeed]
    decide_within: float
    use_within: float
    operator: LayerBody | None
    workspace: LayerBody | None
    request_id: str


_policy_request = msgspec.json.Decoder(PolicyRequest)
_explain_request = msgspec.json.Decoder(ExplainRequest)


async def get_policy(request: Request[State]) -> Response:
    asked = query(request, PolicyQuery)
    with database_problems():
        row = await (await _admin(request)).read(workspace(request), version=asked.version)
    return _policy(request, row)


async def put_policy(request: Request[State]) -> Response:
    asked = await requests.read(request, _policy_request)
    version = _seen(request)
    with database_problems(check_url="/policy"):
        row = await (await _admin(request)).change(
            workspace(request), asked.text, version=version, actor=actor(request)
        )
    await request.state["key_cache"].try_refresh()
    return _policy(request, row)


async def explain_policy(request: Request[State]) -> Response:
    """Nothing is kept, and no name is resolved."""
    asked = await requests.read(request, _explain_request, verbatim=("preview", "params", "body"))
    if (asked.facts is None) == (asked.preview is None):
        raise InvalidRequest("Send either `facts` or `preview`.")
    principal, engine = request.state["principal"], request.state["engine"]
    facts: PreviewFacts | None = asked.facts
    if asked.preview:
        facts = engine.facts(principal, asked.preview.action, asked.preview.params)
    assert facts is not None
    tried = compiled(asked.text) if asked.text else None
    requirement, operator, own = engine.policies.explain(workspace(request), facts, tried=tried)
    return json_response(
        _explained(requirement, operator, own, request_id=request.state["request_id"])
    )


async def _admin(request: Request[State]) -> PolicyAdmin:
    return PolicyAdmin((await request.state["services"]()).transactions)


def _policy(request: Request[State], row: PolicyRow | None) -> Response:
    floor = request.state["engine"].policies.floor
    body = PolicyBody(
        text=row.text if row else "",
        version=row.version if row else 0,
        digest=row.digest or None if row else None,
        changed_by=row.created_by if row else None,
        changed_at=timestamp(row.created_at) if row else None,
        operator_digest=floor.digest if floor else None,
        request_id=request.state["request_id"],
    )
    response = json_response(body)
    response.headers["ETag"] = f'"{body.version}"'
    return response


def _seen(request: Request[State]) -> int | None:
    """The version in If-Match (RFC 9110, 13.1.1); None without the header."""
    given = requests.header_values(request, b"if-match")
    if not given:
        return None
    if len(given) > 1 or not (tag := re.fullmatch(r'"([0-9]{1,9})"', given[0])):
        raise InvalidRequest('If-Match holds one ETag of GET /policy, such as "3".')
    return int(tag[1])


def _explained(
    asked: Requirement, operator: Layer | None, own: Layer | None, *, request_id: str
) -> ExplainBody:
    return ExplainBody(
        denied_by=asked.denied_by,
        needs=asked.needs,
        decide_within=asked.decide_ms / 1000,
        use_within=asked.use_ms / 1000,
        operator=LayerBody(digest=operator.digest, rules=operator.rules) if operator else None,
        workspace=LayerBody(digest=own.digest, rules=own.rules) if own else None,
        request_id=request_id,
    )
