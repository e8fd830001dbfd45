"""Who may do what: route x role x whose id, each cell as it must be answered; and how to ask."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import httpx2

from gateway.admin.keys import KeyRequest, NewKey
from tests.support.events import head
from tests.support.gateways import Relay
from tests.support.keyed import BY, Keyed

ROLES = (
    *("none", "viewer", "developer", "developer_test", "operator", "approver"),
    *("auditor", "admin", "narrowed", "revoked", "expired"),
)
# The status of each role, in that order, where all ids are of the asker's own workspace.
TABLE: Mapping[str, str] = {
    "POST /actions/preview": "     401 403 200 200 200 403 403 200 403 401 401",
    "POST /actions/execute": "     401 403 403 200 200 403 403 200 403 401 401",
    "GET /actions": "              401 200 200 200 200 200 403 200 403 401 401",
    "GET /previews/{preview_id}": "401 200 200 200 200 200 403 200 403 401 401",
    "GET /runs": "                 401 200 200 200 200 200 403 200 200 401 401",
    "GET /runs/{run_id}": "        401 200 200 200 200 200 403 200 200 401 401",
    "POST /mcp": "                 401 200 200 200 200 200 200 200 200 401 401",
    "GET /approvals": "            401 403 200 200 200 200 403 200 403 401 401",
    "GET /approvals/{preview_id}": "401 403 404 404 404 404 403 404 403 401 401",
    "GET /approvals/{preview_id}/receipt": "401 403 404 404 404 404 403 404 403 401 401",
    "GET /runs/{run_id}/receipt": "401 200 200 200 200 200 403 200 200 401 401",
    "GET /receipts/keys": "        200 200 200 200 200 200 200 200 200 200 200",
    "DELETE /approvals/{preview_id}": "401 403 404 404 404 404 403 404 403 401 401",
    "POST /approvals/{preview_id}/decision": "401 403 403 403 403 404 403 404 403 401 401",
    "GET /channels": "             401 403 403 403 403 403 403 200 403 401 401",
    "POST /channels": "            401 403 403 403 403 403 403 201 403 401 401",
    "POST /channels/{channel_id}/test": "401 403 403 403 403 403 403 200 403 401 401",
    "DELETE /channels/{channel_id}": "401 403 403 403 403 403 403 200 403 401 401",
    "GET /connections": "          401 200 200 200 200 200 403 200 403 401 401",
    "POST /connections": "         401 403 403 403 403 403 403 201 403 401 401",
    "GET /connections/{connection_id}": "401 200 200 200 200 200 403 200 403 401 401",
    "DELETE /connections/{connection_id}": "401 403 403 403 403 403 403 200 403 401 401",
    "POST /connections/{provider}/authorize": "401 403 403 403 403 403 403 501 403 401 401",
    "GET /audit": "                401 403 403 403 403 403 200 200 403 401 401",
    "GET /audit/verification": "   401 403 403 403 403 403 200 200 403 401 401",
    "GET /keys": "                 401 403 403 403 403 403 403 200 200 401 401",
    "POST /keys": "                401 403 403 403 403 403 403 201 201 401 401",
    "DELETE /keys/{key_id}": "     401 403 403 403 403 403 403 200 200 401 401",
    "POST /keys/{key_id}/rotate": "401 403 403 403 403 403 403 201 201 401 401",
    "GET /secrets": "              401 403 403 403 403 403 403 200 403 401 401",
    "POST /secrets": "             401 403 403 403 403 403 403 201 403 401 401",
    "POST /session": "             401 401 401 401 401 401 401 401 401 401 401",
    "GET /session": "              401 200 200 200 200 200 200 200 200 401 401",
    "DELETE /session": "           401 204 204 204 204 204 204 204 204 401 401",
    "GET /limits": "              401 200 200 200 200 200 200 200 200 401 401",
    "GET /runs/{run_id}/replays": "401 200 200 200 200 200 403 200 200 401 401",
    "GET /events": "              401 200 200 200 200 200 403 200 200 401 401",
    "GET /policy": "               401 403 403 403 403 403 403 200 403 401 401",
    "PUT /policy": "               401 403 403 403 403 403 403 200 403 401 401",
    "POST /policy/explain": "      401 403 403 403 403 403 403 200 403 401 401",
    "GET /health": "               200 200 200 200 200 200 200 200 200 200 200",
    "GET /ready": "                200 200 200 200 200 200 200 200 200 200 200",
    "GET /version": "              200 200 200 200 200 200 200 200 200 200 200",
    "GET /metrics": "              200 200 200 200 200 200 200 200 200 200 200",
    "GET /openapi.json": "         200 200 200 200 200 200 200 200 200 200 200",
    "GET /docs": "                 200 200 200 200 200 200 200 200 200 200 200",
    "GET /docs/{name}": "          404 404 404 404 404 404 404 404 404 404 404",
    "GET /": "                     404 404 404 404 404 404 404 404 404 404 404",
}
CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 501: "provider_not_configured"}
# The answer for a foreign id is the same as for an unknown one.
NO_SUCH: Mapping[str, tuple[int, str]] = {
    "POST /actions/execute": (404, "preview_not_found"),
    "GET /previews/{preview_id}": (404, "preview_not_found"),
    "GET /runs/{run_id}": (404, "run_not_found"),
    "GET /runs/{run_id}/replays": (404, "run_not_found"),
    "GET /approvals/{preview_id}": (404, "preview_not_found"),
    "GET /approvals/{preview_id}/receipt": (404, "preview_not_found"),
    "GET /runs/{run_id}/receipt": (404, "run_not_found"),
    "DELETE /approvals/{preview_id}": (404, "preview_not_found"),
    "POST /approvals/{preview_id}/decision": (404, "preview_not_found"),
    "POST /channels/{channel_id}/test": (404, "channel_not_found"),
    "DELETE /channels/{channel_id}": (404, "channel_not_found"),
    "GET /connections/{connection_id}": (404, "connection_not_found"),
    "DELETE /connections/{connection_id}": (404, "connection_not_found"),
    "POST /connections/{provider}/authorize": (404, "not_found"),
    "DELETE /keys/{key_id}": (404, "key_not_found"),
    "POST /keys/{key_id}/rotate": (404, "key_not_found"),
    "GET /docs/{name}": (404, "not_found"),
}
# What an admin's key that was narrowed may do.
NARROWED = ("keys:manage", "runs:read")

Answer = tuple[int, str | None]


def expected(route: str, role: str, whose: str) -> Answer:
    status = int(TABLE[route].split()[ROLES.index(role)])
    if route in NO_SUCH and (status == 404 or (status < 400 and whose != "own")):
        return NO_SUCH[route]
    return status, CODES.get(status)


def given(response: httpx2.Response) -> Answer:
    code = response.json()["code"] if response.status_code >= 400 else None
    return response.status_code, code


class Ids(NamedTuple):
    preview_id: str
    run_id: str
    key_id: str
    channel_id: str
    connection_id: str
    name: str = "none"
    provider: str = "google"


_NO_ID = "6b3c1d0e-6f6c-4d0a-9f3e-0a1b2c3d4e5f"
UNKNOWN = Ids(_NO_ID, _NO_ID, key_id="0aA9zZ5x", channel_id=_NO_ID, connection_id=_NO_ID)


PREVIEW = {"action": "webhook.save"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
STATIC = {"label": "crm", "kind": "bearer", "secret": "s", "hosts": ["api.example.com"]}
DECISION = {"decision": "approve", "digest": "sha256:" + "0" * 64}


class Asking:
    """One client for everybody, with one request id: answers differ where they are different."""

    def __init__(self, relay: Relay, target: str) -> None:
        self._relay = relay
        self._target = target

    async def __call__(self, route: str, key: str | None, ids: Ids) -> httpx2.Response:
        method, path = route.split()
        bodies: Mapping[str, Any] = {
            "/actions/preview": PREVIEW | {"params": {"url": self._target, "body": 1}},
            "/actions/execute": {"preview_id": ids.preview_id},
            "/approvals/{preview_id}/decision": DECISION,
            "/session": {"key": "unknown"},
            "/mcp": PING,
            "/policy": {"text": ""},
            "/policy/explain": {"facts": {"action": "a", "method": "PUT", "url": "https://a/"}},
            "/channels": {"name": "duty", "url": self._target},
            "/connections": STATIC,
            "/connections/{provider}/authorize": {"actions": ["google.gmail.send"]},
            "/keys": {"name": "made", "role": "viewer", "scopes": ["runs:read"]},
        }
        headers = {"X-Request-ID": "asked"}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        json = bodies.get(path, {}) if method in ("POST", "PUT") else None
        url = path.format(**ids._asdict())
        if path == "/events":
            return await head(self._relay, **headers)
        return await self._relay.request(method, url, json=json, headers=headers)


async def keys_of_roles(keyed: Keyed, workspace: str) -> dict[str, str | None]:
    """One of each role, and one that was revoked and one that has expired; both were admins'."""
    issuing = (await keyed.services()).keys

    async def made(role: str, **wanted: Any) -> NewKey:
        return await issuing.create_key(workspace, KeyRequest(role, role, **wanted), actor=BY)

    plain = {
        role: await made(role) for role in ("viewer", "operator", "approver", "auditor", "admin")
    }
    new_key = {
        **plain,
        "developer": await made("developer"),
        "developer_test": await made("developer", live=False),
        "narrowed": await made("admin", scopes=NARROWED),
        "revoked": await made("admin"),
        "expired": await made("admin", expires_in=timedelta(milliseconds=1)),
    }
    await issuing.revoke_key(workspace, new_key["revoked"].key.id, actor=BY)
    await keyed.look()
    return {"none": None, **{role: one.secret for role, one in new_key.items()}}


async def spare_key(keyed: Keyed, workspace: str) -> NewKey:
    """A key that a narrowed admin may rotate."""
    issuing = (await keyed.services()).keys
    return await issuing.create_key(
        workspace, KeyRequest("spare", "viewer", ("runs:read",)), actor=BY
    )
