"""What approvals answer is as the OpenAPI document says, refusals included."""

from pathlib import Path

import msgspec

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from tests.api.test_openapi import Published
from tests.support.deciding import client_of, decide
from tests.support.keyed import keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"] }
"""


async def test_answers_are_as_published(valkey: Valkey, tmp_path: Path, target: Target) -> None:
    """Every member is described and every required one is there."""
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as keyed:
        agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
        made = await agent.preview(target.url)
        preview_id = made.json()["preview_id"]
        path, named = f"/approvals/{preview_id}", "/approvals/{preview_id}"
        answers = [
            ("post", "/actions/preview", made),
            ("post", "/actions/execute", await agent.execute(preview_id, wait=0)),
            ("get", "/previews/{preview_id}", await agent.get(f"/previews/{preview_id}")),
            ("get", "/approvals", await ann.get("/approvals")),
            ("get", named, await ann.get(path)),
            ("post", f"{named}/decision", await decide(ann, preview_id)),
            ("get", named, await ann.get(path)),
            ("delete", named, await agent.delete(path)),
            ("delete", named, await agent.delete(path)),
            ("post", "/actions/execute", await agent.execute(preview_id)),
        ]
    published = Published(msgspec.json.decode(document(ENDPOINTS)))
    statuses = [200, 409, 409, 200, 200, 200, 200, 200, 409, 403]
    assert [answer.status_code for _, _, answer in answers] == statuses
    for method, route, answer in answers:
        schema = published.of(method, route, answer.status_code)
        assert list(published.wrong(answer.json(), schema)) == [], (method, route)
