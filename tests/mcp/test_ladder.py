"""What a request climbs before it is answered: the first check that fails is the answer."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.mcp.protocol import LEGACY, MODERN, NAMESPACE, SERVED
from tests.support.gateways import Relay
from tests.support.keyed import keyed_gateway
from tests.support.mcp import Agent, Headers, meta, posted
from tests.support.valkey import Valkey
from tests.support.wire import connected

VERSION, METHOD, NAME = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
LIST: Headers = [(VERSION, MODERN), (METHOD, "tools/list")]
RUN = ("get_run", {"run_id": "none"})


def rpc(method: str = "tools/list", **members: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": meta()}}
    return json.dumps({**message, **members}).encode()


def without(name: str) -> bytes:
    kept = {key: value for key, value in meta().items() if key != f"{NAMESPACE}{name}"}
    return rpc(params={"_meta": kept})


def called(name: Any, **members: Any) -> bytes:
    arguments = {"run_id": "none"}
    return rpc("tools/call", params={"_meta": meta(), "name": name, "arguments": arguments})


def call_headers(name: str) -> Headers:
    return [(VERSION, MODERN), (METHOD, "tools/call"), (NAME, name)]


def encoded(name: str) -> str:
    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


class Row(NamedTuple):
    """`code`: of the error; None for a result."""

    body: bytes
    headers: Headers
    status: int
    code: int | None
    id: int | None = 7


ROWS = {
    "a list": Row(rpc(), LIST, 200, None),
    "an id that is text": Row(rpc(id="a"), LIST, 200, None, "a"),  # type: ignore[arg-type]
    "not JSON": Row(b"{", LIST, 400, -32700, None),
    "nothing": Row(b"", LIST, 400, -32700, None),
    "no UTF-8": Row(rpc().replace(b"tools", b"\xff"), LIST, 400, -32700, None),
    "a lone surrogate": Row(rpc().replace(b"tools", b"\\ud800"), LIST, 400, -32700, None),
    "33 levels": Row(rpc(params=json.loads("[" * 33 + "]" * 33)), LIST, 400, -32700, None),
    "a batch": Row(b"[" + rpc() + b"]", LIST, 400, -32600, None),
    "an empty batch": Row(b"[]", LIST, 400, -32600, None),
    "a posted response": Row(b'{"jsonrpc": "2.0", "id": 7, "result": {}}', LIST, 400, -32600, None),
    "a number": Row(b"1", LIST, 400, -32600, None),
    "no jsonrpc": Row(rpc().replace(b"jsonrpc", b"json"), LIST, 400, -32600, None),
    "jsonrpc 1.0": Row(rpc(jsonrpc="1.0"), LIST, 400, -32600, None),
    "an id that is null": Row(rpc(id=None), LIST, 400, -32600, None),
    "an id with a fraction": Row(rpc(id=1.5), LIST, 400, -32600, None),
    "an id that is a list": Row(rpc(id=[]), LIST, 400, -32600, None),
    "a method twice": Row(rpc()[:-1] + b', "method": "ping"}', LIST, 400, -32600, None),
    "params that are a list": Row(rpc(params=[]), LIST, 400, -32602),
    "a version twice": Row(rpc(), [*LIST, (VERSION, MODERN)], 400, -32020),
    "a method header twice": Row(rpc(), [*LIST, (METHOD, "tools/list")], 400, -32020),
    "a name twice": Row(called("a"), [*call_headers("a"), (NAME, "a")], 400, -32020),
    "a legacy version twice": Row(rpc(), [(VERSION, LEGACY[0])] * 2, 400, -32020),
    "no version in _meta": Row(without("protocolVersion"), LIST, 400, -32602),
    "no capabilities in _meta": Row(without("clientCapabilities"), LIST, 400, -32602),
    "no clientInfo": Row(without("clientInfo"), LIST, 200, None),
    "no header": Row(rpc(), [], 400, -32020),
    "another version in _meta": Row(rpc(params={"_meta": meta("2027-01-01")}), LIST, 400, -32020),
    "another method": Row(rpc(), [(VERSION, MODERN), (METHOD, "tools/call")], 400, -32020),
    "no method header": Row(rpc(), [(VERSION, MODERN)], 400, -32020),
    "another name": Row(called("get_run"), call_headers("execute"), 400, -32020),
    "no name": Row(called("get_run"), call_headers("")[:2], 400, -32020),
    "base64 that is none": Row(called("get_run"), call_headers("=?base64?%?="), 400, -32020),
    "a name in base64": Row(called("get_run"), call_headers(encoded("get_run")), 200, None),
    "an unknown version": Row(
        rpc(params={"_meta": meta("2027-01-01")}),
        [(VERSION, "2027-01-01"), (METHOD, "tools/list")],
        400,
        -32022,
    ),
    "an unknown method": Row(
        rpc("resources/list"), [(VERSION, MODERN), (METHOD, "resources/list")], 404, -32601
    ),
    "a legacy method": Row(rpc("ping"), [(VERSION, MODERN), (METHOD, "ping")], 404, -32601),
    "an unknown tool": Row(called("none"), call_headers("none"), 400, -32602),
    "an unknown tool in base64": Row(
        called("\u00e4"), call_headers(encoded("\u00e4")), 400, -32602
    ),
    "a name that is no text": Row(called(1), call_headers("1"), 400, -32602),
    "a cursor": Row(rpc(params={"_meta": meta(), "cursor": "a"}), LIST, 400, -32602),
    "a legacy list": Row(rpc(params={}), [(VERSION, LEGACY[0])], 200, None),
    "neither header nor _meta": Row(rpc(params={}), [], 200, None),
    "no params": Row(b'{"jsonrpc": "2.0", "id": 7, "method": "ping"}', [], 200, None),
    "an unknown method, legacy": Row(rpc("resources/list", params={}), [], 200, -32601),
    "a modern method, legacy": Row(rpc("server/discover", params={}), [], 200, -32601),
    "an unknown tool, legacy": Row(rpc("tools/call", params={"name": "none"}), [], 200, -32602),
    "a modern initialize": Row(
        rpc("initialize"), [(VERSION, MODERN), (METHOD, "initialize")], 404, -32601
    ),
    "initialize with a modern header": Row(
        rpc("initialize", params={"protocolVersion": MODERN}), LIST, 200, None
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_each_check_has_its_answer(relay: Relay, row: Row) -> None:
    answer = await posted(relay, row.body, row.headers)
    body = answer.json()
    assert (answer.status_code, body.get("error", {}).get("code")) == (row.status, row.code), body
    assert (body["jsonrpc"], body["id"]) == ("2.0", row.id)
    assert answer.headers["Content-Type"] == "application/json"
    assert ("result" in body) == (row.code is None)


async def test_blanks_around_a_header_are_no_part_of_it(relay: Relay) -> None:
    """The server hands those at its end on."""
    message = Agent(relay).message("tools/list")
    headers = (f"{VERSION}: \t{MODERN} \t", f"{METHOD}:  tools/list\t ")
    async with connected(str(relay.base_url)) as connection:
        answer = await connection.post("/mcp", message, *headers)
    assert (answer.status, "result" in answer.body) == (200, True), answer.body


async def test_a_version_that_is_not_served_gets_the_list(relay: Relay) -> None:
    headers = [(VERSION, "2027-01-01"), (METHOD, "tools/list")]
    answer = await posted(relay, rpc(params={"_meta": meta("2027-01-01")}), headers)
    data = answer.json()["error"]["data"]
    assert data == {"supported": list(SERVED), "requested": "2027-01-01"}


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled", "x"])
async def test_a_notification_gets_202(relay: Relay, method: str) -> None:
    """Whatever its headers."""
    body = json.dumps({"jsonrpc": "2.0", "method": method}).encode()
    answer = await posted(relay, body, [(VERSION, "none"), (VERSION, "other")])
    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://attacker.example", 403),
        ("null", 403),
        ("http://localhost:1", 403),
        ("http://localhost:5173", 200),  # known in development
        ("own", 200),
        ("own, https", 403),
    ],
)
async def test_pages_of_other_origins_are_refused(relay: Relay, origin: str, status: int) -> None:
    """Before anything else; the page of this very address is not another."""
    own = str(relay.base_url).rstrip("/")
    origin = {"own": own, "own, https": own.replace("http:", "https:")}.get(origin, origin)
    body = rpc() if status == 200 else b"{"
    answer = await posted(relay, body, [*LIST, ("Origin", origin)])
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["code"] == "cross_site"


async def test_a_name_that_leads_here_is_no_own_address(relay: Relay) -> None:
    """A page of an attacker whose name resolves to this machine."""
    rebound = [("Host", "attacker.example:80"), ("Origin", "http://attacker.example:80")]
    answer = await posted(relay, rpc(), [*LIST, *rebound])
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


async def test_in_production_only_configured_pages_may_call(valkey: Valkey, tmp_path: Path) -> None:
    """CORS_ORIGINS; not the address itself."""
    known = "https://tools.example"
    given = {"env": "production", "cors_origins": (known,)}
    async with keyed_gateway(valkey.url, tmp_path / "data", **given) as keyed:
        own = str(keyed.relay.base_url).rstrip("/")
        for origin, status in ((known, 200), (own, 403)):
            answer = await posted(keyed.relay, rpc(), [*LIST, ("Origin", origin)])
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_both_spellings_are_served_alike(relay: Relay, path: str) -> None:
    """POST alone, and no redirect, which some clients do not follow."""
    answer = await posted(relay, rpc(), LIST, path)
    assert answer.status_code == 200
    for method in ("GET", "DELETE", "PUT"):
        refused = await relay.request(method, path)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


async def test_no_accept_is_needed(relay: Relay) -> None:
    """Clients send all kinds of it; one answers 406 to none."""
    for accept in ("application/json", "text/event-stream", "*/*", "text/html", ""):
        answer = await posted(relay, rpc(), [*LIST, ("Accept", accept)])
        assert answer.headers["Content-Type"] == "application/json", accept


@pytest.mark.parametrize("asked", [*LEGACY, "2024-11-05", MODERN, ""])
async def test_initialize_makes_no_session(relay: Relay, asked: str) -> None:
    """It answers with the version that was asked for, if it is a served legacy one."""
    answer = await posted(relay, rpc("initialize", params={"protocolVersion": asked}))
    result = answer.json()["result"]
    assert result["protocolVersion"] == (asked if asked in LEGACY else LEGACY[0])
    assert result["serverInfo"]["name"] == "relay"
    assert "mcp-session-id" not in answer.headers


async def test_discovery(relay: Relay) -> None:
    """Every result of the modern version says how it ended, and whose it is."""
    result = await Agent(relay).result("server/discover")
    assert result["supportedVersions"] == list(SERVED)
    assert (result["resultType"], result["cacheScope"]) == ("complete", "public")
    assert result["ttlMs"] > 0
    assert result["_meta"][f"{NAMESPACE}serverInfo"]["name"] == "relay"
    assert "preview" in result["instructions"]
