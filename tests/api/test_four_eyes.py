"""Four eyes: each route, asked by each role in each relation to the requester, cell by cell."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import pytest

from gateway.access.roles import ROLES
from gateway.admin.keys import KeyRequest, NewKey
from gateway.api.routes import ENDPOINTS
from gateway.transaction import Actor
from tests.support.deciding import decide
from tests.support.gateways import Relay
from tests.support.keyed import BY, Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "all"
need = { approvals = 1 }
"""
# own: the key that asked. second: another key of its subject. made: a key that it made.
# grandchild: a key made by such a one. other: another identity. test: that identity's test key.
# foreign: another workspace's.
RELATIONS = ("own", "second", "made", "grandchild", "other", "test", "foreign")
# own: 403 own_request. no: 403 forbidden. -: such a key cannot ask for a preview.
TABLE: Mapping[str, Mapping[str, str]] = {
    "GET /approvals/{id}": {
        "viewer": "    -   no  no  no  no  no  no",
        "developer": " 200 200 404 404 404 404 404",
        "operator": "  200 200 404 404 404 404 404",
        "approver": "  -   200 200 200 200 200 404",
        "auditor": "   -   no  no  no  no  no  no",
        "admin": "     200 200 200 200 200 200 404",
    },
    "approve": {
        "viewer": "    -   no  no  no  no  no  no",
        "developer": " no  no  no  no  no  no  no",
        "operator": "  no  no  no  no  no  no  no",
        "approver": "  -   own own own 200 no  404",
        "auditor": "   -   no  no  no  no  no  no",
        "admin": "     own own own own 200 no  404",
    },
    "deny": {
        "viewer": "    -   no  no  no  no  no  no",
        "developer": " no  no  no  no  no  no  no",
        "operator": "  no  no  no  no  no  no  no",
        "approver": "  -   own own own 200 no  404",
        "auditor": "   -   no  no  no  no  no  no",
        "admin": "     own own own own 200 no  404",
    },
    "DELETE /approvals/{id}": {
        "viewer": "    -   no  no  no  no  no  no",
        "developer": " 200 200 404 404 404 404 404",
        "operator": "  200 200 404 404 404 404 404",
        "approver": "  -   200 200 200 200 no  404",
        "auditor": "   -   no  no  no  no  no  no",
        "admin": "     200 200 200 200 200 no  404",
    },
    # Of an approved preview. A developer executes with a test key only.
    "execute": {
        "viewer": "    -   no  no  no  no  no  no",
        "developer": " no  no  no  no  no  200 no",
        "operator": "  200 200 200 200 200 200 404",
        "approver": "  -   no  no  no  no  no  no",
        "auditor": "   -   no  no  no  no  no  no",
        "admin": "     200 200 200 200 200 200 404",
    },
}
ANSWERS = {
    "200": (200, None),
    "own": (403, "own_request"),
    "no": (403, "forbidden"),
    "404": (404, "preview_not_found"),
}


class Eyes:
    """Keys by relation and role, and fresh previews that each requester has asked for."""

    def __init__(self, keyed: Keyed, target: Target) -> None:
        self.keyed, self._target = keyed, target

    async def key(
        self,
        role: str,
        *,
        subject: str | None = None,
        by: NewKey | None = None,
        live: bool = True,
        workspace: str = "default",
    ) -> NewKey:
        actor = BY
        if by:
            made = by.key
            makers = (made.makers or "").split()
            actor = Actor(made.id, key=made.id, subject=made.subject or made.id, makers=makers)
        wanted = KeyRequest("test", role, subject=subject, live=live)
        return await (await self.keyed.services()).keys.create_key(workspace, wanted, actor=actor)

    async def asker(self, role: str, relation: str) -> tuple[NewKey, NewKey]:
        """The key of the requester, and the key of this role in this relation to it."""
        requester = await self.key(role if relation == "own" else "operator", subject="agent")
        match relation:
            case "own":
                return requester, requester
            case "second":
                return requester, await self.key(role, subject="agent")
            case "made":
                return requester, await self.key(role, subject="bob", by=requester)
            case "grandchild":
                child = await self.key("admin", subject="bob", by=requester)
                return requester, await self.key(role, subject="cid", by=child)
            case "foreign":
                return requester, await self.key(role, subject="ann", workspace="theirs")
            case _:
                live = relation == "other"
                return requester, await self.key(role, subject="ann", live=live)

    async def ask(self, route: str, role: str, relation: str) -> httpx2.Response:
        requester, asker = await self.asker(role, relation)
        await self.keyed.look()
        made = (await self.keyed.client(requester.secret).preview(self._target.url)).json()
        if route == "execute":
            await self._approve(made["preview_id"])
            return await self.keyed.client(asker.secret).execute(made["preview_id"])
        relay, path = self.keyed.client(asker.secret), f"/approvals/{made['preview_id']}"
        if route in ("approve", "deny"):
            digest = made["effect"]["digest"]
            return await decide(relay, made["preview_id"], route, digest=digest, reason="Because.")
        return await relay.request(route.partition(" ")[0], path)

    async def _approve(self, preview_id: str) -> None:
        approver = await self.key("approver", subject="zoe")
        await self.keyed.look()
        assert (await decide(self.keyed.client(approver.secret), preview_id)).status_code == 200


@pytest.fixture
async def eyes(valkey: Valkey, tmp_path: Path, target: Target) -> AsyncIterator[Eyes]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as keyed:
        await keyed.workspace("theirs")
        yield Eyes(keyed, target)


def answer_of(response: httpx2.Response) -> tuple[int, str | None]:
    code = response.json()["code"] if response.status_code >= 400 else None
    return response.status_code, code


def test_the_table_states_every_cell() -> None:
    """Each role, each relation, and each route that is about one approval."""
    routes = {f"{it.method} {it.path}" for it in ENDPOINTS if it.path.startswith("/approvals/{")}
    decision = "POST /approvals/{preview_id}/decision"
    stated = {route.replace("{id}", "{preview_id}") for route in TABLE if " " in route}
    assert {it for it in routes if not it.endswith("/receipt")} == stated | {decision}
    for rows in TABLE.values():
        assert set(rows) == set(ROLES)
        assert {len(row.split()) for row in rows.values()} == {len(RELATIONS)}


@pytest.mark.parametrize("route", TABLE)
async def test_every_cell_is_as_the_table_says(eyes: Eyes, route: str) -> None:
    wrong = {}
    for role, row in TABLE[route].items():
        for relation, cell in zip(RELATIONS, row.split(), strict=True):
            if cell != "-":
                answer = answer_of(await eyes.ask(route, role, relation))
                if answer != ANSWERS[cell]:
                    wrong[role, relation] = (answer, cell)
    assert wrong == {}


async def test_a_test_key_decides_on_previews_of_test_keys(eyes: Eyes, target: Target) -> None:
    """And gives them up; a live key does both, too."""
    agent = await eyes.key("operator", subject="agent", live=False)
    keys = [await eyes.key("approver", subject="ann", live=live) for live in (False, True)]
    await eyes.keyed.look()
    relay = eyes.keyed.client(agent.secret)
    for key in keys:
        approver: Relay = eyes.keyed.client(key.secret)
        assert (await decide(approver, await relay.preview_id(target.url))).status_code == 200
        given_up = await approver.delete(f"/approvals/{await relay.preview_id(target.url)}")
        assert given_up.json()["state"] == "cancelled"


async def test_the_list_shows_a_requester_its_own(eyes: Eyes, target: Target) -> None:
    """Approvers see everything that waits in their workspace, others what their subject asked."""
    agent = await eyes.key("operator", subject="agent")
    askers = {
        "second": await eyes.key("operator", subject="agent"),
        "other": await eyes.key("operator", subject="ann"),
        "approver": await eyes.key("approver", subject="ann"),
        "made": await eyes.key("operator", subject="bob", by=agent),
        "foreign": await eyes.key("approver", workspace="theirs"),
    }
    await eyes.keyed.look()
    await eyes.keyed.client(agent.secret).preview_id(target.url)
    seen = {
        name: len((await eyes.keyed.client(key.secret).get("/approvals")).json()["approvals"])
        for name, key in askers.items()
    }
    assert seen == {"second": 1, "other": 0, "approver": 1, "made": 0, "foreign": 0}
