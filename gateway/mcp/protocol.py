"""MCP over HTTP without sessions: which version a request speaks, and what is wrong with it.

Since 2026-07-28 each request carries its version and the capabilities of its client. Older clients
start with `initialize`; they are answered without a session too, so that any replica answers any
request. A request gets one JSON answer.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field
from msgspec import Meta as Shape

from gateway.version import VERSION

MODERN = "2026-07-28"
# The newest first: what a client gets that asks for a version which is not served.
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
SERVED = (MODERN, *LEGACY)

# What MCP and Relay put before their names in `_meta`.
NAMESPACE, OWN = "io.modelcontextprotocol/", "dev.relay-gateway/"

PARSE_ERROR, INVALID_REQUEST = -32700, -32600
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

INSTRUCTIONS = (
    "Relay performs actions in two steps. A preview tool prepares the exact request and sends "
    "nothing. Then execute sends it, at most once: after an error or a lost answer call execute "
    "again with the same preview_id, and you get the first run. Status unknown means that it "
    "cannot be known whether the request arrived: do not preview it again."
)
SERVER = {"name": "relay", "version": VERSION}
METHODS = ("server/discover", "initialize", "ping", "tools/list", "tools/call")
CAPABILITIES = {"tools": {"listChanged": False}}
# Milliseconds. The list of tools changes with a deployment or a role.
TOOLS_TTL, DISCOVERY_TTL = 60_000, 3_600_000


class ProtocolError(Exception):
    """An error of JSON-RPC. `status`: of the HTTP response, where the client is not a legacy one:
    those expect 200.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.data = code, status, data


class Message(Struct):
    """A request or, without `id`, a notification (JSON-RPC 2.0)."""

    jsonrpc: Literal["2.0"]
    method: str
    id: int | str | UnsetType = UNSET
    params: Annotated[Raw, Shape(extra_json_schema={"type": "object"})] | UnsetType = UNSET


class RpcError(Struct, omit_defaults=True):
    code: int
    message: str
    data: Mapping[str, Any] | None = None


class Reply(Struct, kw_only=True):
    """`id`: null where the request could not be read."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: int | str | None
    result: Mapping[str, Any] | UnsetType = UNSET
    error: RpcError | UnsetType = UNSET


class Elicitation(Struct):
    """Empty: forms alone."""

    url: Raw | UnsetType = UNSET


class Capabilities(Struct):
    elicitation: Elicitation | UnsetType = UNSET


class Client(Struct):
    """Who the client says it is."""

    name: str = ""


class Meta(Struct):
    version: str | UnsetType = field(default=UNSET, name=f"{NAMESPACE}protocolVersion")
    capabilities: Capabilities | UnsetType = field(
        default=UNSET, name=f"{NAMESPACE}clientCapabilities"
    )
    client: Client | UnsetType = field(default=UNSET, name=f"{NAMESPACE}clientInfo")
    idempotency_key: str | UnsetType = field(default=UNSET, name=f"{OWN}idempotency-key")
    traceparent: str = ""
    tracestate: str = ""


class InputResponse(Struct):
    action: str = ""


class Params(Struct, rename="camel"):
    """`protocol_version` and `client_info`: of `initialize`. `input_responses`: what a person did
    at the client.
    """

    meta: Meta = field(default_factory=Meta, name="_meta")
    name: str | UnsetType = UNSET
    arguments: Raw = Raw(b"{}")
    cursor: str | UnsetType = UNSET
    input_responses: Mapping[str, InputResponse] = {}
    protocol_version: str = ""
    client_info: Client | UnsetType = UNSET


class Asked(NamedTuple):
    """A request that may be answered in this version. `client`: the name that the client claims."""

    id: int | str
    method: str
    params: Params
    version: str
    client: str

    @property
    def modern(self) -> bool:
        return self.version == MODERN

    @property
    def opens_pages(self) -> bool:
        """Whether the client offers to lead its person to a page."""
        offered = self.params.meta.capabilities
        if not self.modern or offered is UNSET or offered.elicitation is UNSET:
            return False
        return offered.elicitation.url is not UNSET


_params = msgspec.json.Decoder(Params)


def accept(id_: int | str, message: Message, headers: Mapping[str, Sequence[str]]) -> Asked:
    """`headers`: the values of those that are compared. Raises ProtocolError."""
    params = Params()
    if message.params is not UNSET:
        try:
            params = _params.decode(message.params)
        except msgspec.ValidationError as error:
            raise ProtocolError(INVALID_PARAMS, f"The params are invalid: {error}.") from error
    version = _version(message.method, params, headers)
    return Asked(id_, message.method, params, version, _client(params))


def _client(params: Params) -> str:
    """Of printable characters; empty if the client claims no name."""
    client = params.meta.client or params.client_info
    name = client.name if client else ""
    return "".join(letter for letter in name if letter.isprintable())[:64]


# The headers that repeat what the body says.
COMPARED = ("mcp-protocol-version", "mcp-method", "mcp-name")


def _version(method: str, params: Params, headers: Mapping[str, Sequence[str]]) -> str:
    """The first check that fails is the answer."""
    for name in COMPARED:
        if len(headers[name]) > 1:
            raise _mismatch(f"The header {name} is there more than once.")
    named, said, name = ("".join(headers[header]).strip(" \t") for header in COMPARED)
    modern = params.meta.version or (named and method != "initialize")
    if named in LEGACY or not modern:
        return named if named in LEGACY else LEGACY[-1]
    _compare(method, params, (named, said, name))
    return named


def _compare(method: str, params: Params, headers: tuple[str, str, str]) -> None:
    named, said, name = headers
    asked = params.meta.version
    if asked is UNSET or params.meta.capabilities is UNSET:
        detail = f"params._meta needs {NAMESPACE}protocolVersion and {NAMESPACE}clientCapabilities."
        raise ProtocolError(INVALID_PARAMS, detail)
    if named != asked:
        raise _mismatch("The header mcp-protocol-version and params._meta differ.")
    if said != method:
        raise _mismatch("The header mcp-method and the method differ.")
    if method == "tools/call" and _decoded(name) != params.name:
        raise _mismatch("The header mcp-name and params.name differ.")
    if named != MODERN:
        data = {"supported": SERVED, "requested": named}
        raise ProtocolError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def _mismatch(detail: str) -> ProtocolError:
    return ProtocolError(HEADER_MISMATCH, detail)


def _decoded(name: str) -> str | None:
    """A name that is no visible ASCII comes as `=?base64?...?=`, in UTF-8."""
    if not (name.startswith("=?base64?") and name.endswith("?=")):
        return name
    try:
        return base64.b64decode(name[len("=?base64?") : -len("?=")], validate=True).decode()
    except ValueError:
        return None


def discovered() -> dict[str, Any]:
    """The result of `server/discover`."""
    return {
        "supportedVersions": SERVED,
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        "ttlMs": DISCOVERY_TTL,
        "cacheScope": "public",
    }


def initialized(params: Params) -> dict[str, Any]:
    """The result of `initialize`, without a session."""
    asked = params.protocol_version
    return {
        "protocolVersion": asked if asked in LEGACY else LEGACY[0],
        "capabilities": CAPABILITIES,
        "serverInfo": SERVER,
        "instructions": INSTRUCTIONS,
    }


def reply(asked: Asked, result: Mapping[str, Any]) -> bytes:
    """The answer; a modern one says how it ended, and whose it is."""
    if asked.modern:
        meta = {f"{NAMESPACE}serverInfo": SERVER, **result.get("_meta", {})}
        result = {"resultType": "complete", **result, "_meta": meta}
    return msgspec.json.encode(Reply(id=asked.id, result=result))


def error_reply(id_: int | str | None, error: ProtocolError) -> bytes:
    rpc_error = RpcError(error.code, str(error), error.data)
    return msgspec.json.encode(Reply(id=id_, error=rpc_error))
