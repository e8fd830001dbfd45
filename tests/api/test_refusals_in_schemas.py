"""The published schemas say what is refused: schema and gateway judge each value alike."""

from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from jsonschema import Draft202012Validator

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.valkey import Valkey

DOCUMENT: dict[str, Any] = msgspec.json.decode(document(ENDPOINTS))
KEYS: list[tuple[bytes, bool]] = [
    (b"a", True),
    (b"a" * 255, True),
    (b"a" * 256, False),
    (b'"' + b"a" * 255 + b'"', True),
    (b'"' + b"a" * 256 + b'"', False),
    (b'"' + rb"\"" * 255 + b'"', True),
    (b'""', False),
    (b'"', False),
    (b'"a', False),
    (b'a"', True),
    (rb'"a\"', False),
    (rb'"a\b"', False),
    (rb"a\b", True),
    (b"a b", False),
    (b'"a b"', False),
    (b"\xe9", False),
    (b"", False),
]
PREVIEW_IDS = [("x", True), ("x" * 200, True), ("x" * 201, False), ("", False), ("a b", False)]
PREVIEW_IDS += [("é", False), ("~!", True), ("a\u007f", False)]
ACTIONS = [("webhook.save", True), ("webhook", False), ("Webhook.save", False), ("", False)]
ACTIONS += [("webhook.save ", False), ("a" * 101 + ".b", False)]
CURSORS = [("MQ", True), ("", False), ("M=", False), ("é", False), ("a" * 201, False)]
SCOPES: list[tuple[Any, bool]] = [(None, True), (["runs:read"], True), ([], False), (["x"], False)]


def parameter(path: str, method: str, name: str) -> dict[str, Any]:
    [found] = [one for one in DOCUMENT["paths"][path][method]["parameters"] if one["name"] == name]
    return dict(found["schema"])


def member(schema: str, name: str) -> dict[str, Any]:
    return dict(DOCUMENT["components"]["schemas"][schema]["properties"][name])


def valid(schema: dict[str, Any], value: Any) -> bool:
    root = {"components": DOCUMENT["components"]}
    return bool(Draft202012Validator({**schema, **root}).is_valid(value))


async def executed(keyed: Keyed, key: bytes) -> httpx2.Response:
    headers = httpx2.Headers([(b"Idempotency-Key", key)])
    return await keyed.relay.post("/actions/execute", json={"preview_id": "x"}, headers=headers)


async def test_schema_and_gateway_agree(
    valkey: Valkey, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Keys of an intent, ids of previews, actions, cursors and scopes, with neighbours."""
    async with keyed_gateway(valkey.url, tmp_path) as keyed:

        async def check(schema: dict[str, Any], value: Any, fits: bool, sent: Any) -> None:
            with subtests.test(repr(value)[:60]):
                response = await sent
                refused = response.json().get("code") in (
                    *("invalid_request", "invalid_idempotency_key", "unknown_action"),
                )
                assert (valid(schema, value), refused) == (fits, not fits), response.text

        schema = parameter("/actions/execute", "post", "Idempotency-Key")
        for key, fits in KEYS:
            await check(schema, key.decode("latin-1"), fits, executed(keyed, key))
        for name, fits in PREVIEW_IDS:
            sent = keyed.relay.post("/actions/execute", json={"preview_id": name})
            await check(member("ExecuteRequest", "preview_id"), name, fits, sent)
        for name, fits in ACTIONS:
            sent = keyed.relay.post("/actions/preview", json={"action": name, "params": {}})
            await check(member("PreviewRequest", "action"), name, fits, sent)
        for name, fits in CURSORS:
            sent = keyed.relay.get("/audit", params={"cursor": name})
            await check(parameter("/audit", "get", "cursor"), name, fits, sent)
        for scopes, fits in SCOPES:
            wanted = {"name": "a", "role": "viewer", "scopes": scopes}
            sent = keyed.relay.post("/keys", json=wanted)
            await check(member("CreateKeyRequest", "scopes"), scopes, fits, sent)
