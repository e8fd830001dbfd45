"""All that is on the wire is in the preview, or named there; the digest covers what is shown."""

import base64
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec import Raw

from gateway.effects import Effect
from gateway.execution.documents import preview_answer, preview_document, stored_effect
from tests.execution.test_documents import ANY
from tests.support.gateways import Relay, gateway
from tests.support.target import Delivery, Target
from tests.support.valkey import Valkey

CALLER = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1",
}


def recomputed(wire: dict[str, str]) -> str:
    """The digest as deploy/README.md tells how to compute it, from `wire` alone."""
    body = base64.b64decode(wire["body_base64"]) if "body_base64" in wire else wire["body"].encode()
    return f"sha256:{sha256(wire['head'].encode() + body).hexdigest()}"


def assert_all_of_it_was_shown(effect: dict[str, Any], sent: Delivery) -> None:
    """The request line, each header in its order but for the named ones, and the body."""
    path = urlsplit(effect["url"]).path
    assert sent.line == f"{effect['method']} {path} HTTP/1.1"
    added = effect["added_when_sent"]
    shown = [(name, value) for name, value in sent.headers if name not in added]
    assert shown == list(effect["headers"].items())
    assert sorted(name for name, _ in sent.headers if name in added) == sorted(added)
    head = "".join(f"{name}: {value}\n" for name, value in shown)
    assert effect["wire"]["head"] == f"{effect['method']} {effect['url']}\n{head}\n"
    assert effect["wire"]["body"].encode() == sent.body == (effect["body"] or "").encode()
    assert effect["digest"] == recomputed(effect["wire"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("body", ['{"a":  1.50, "é": "\\u00e9"}', None])
async def test_a_raw_target_gets_the_bytes_that_were_shown(
    relay: Relay, target: Target, method: str, body: str | None
) -> None:
    """Each method, with and without a body, signed and traced."""
    params = f'{{"url": "{target.url}", "method": "{method}", "headers": {{"7": "b", "3": "a"}}'
    params += "}" if body is None else f', "body": {body}}}'
    asked = f'{{"action": "webhook.save", "params": {params}}}'.encode()
    json = {"Content-Type": "application/json"}
    preview = (await relay.post("/actions/preview", content=asked, headers=json)).json()
    await relay.execute(preview["preview_id"])
    [sent] = target.deliveries
    assert_all_of_it_was_shown(preview["effect"], sent)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, {"webhook-id", "X-Signature", "traceparent"}),
        ({"signing_secrets": ()}, {"traceparent"}),
        ({"telemetry_backend": "prom"}, {"webhook-id", "X-Signature"}),
        ({"trust_traceparent": True}, {"webhook-id", "X-Signature", "traceparent", "tracestate"}),
    ],
)
async def test_only_added_headers_are_named(
    valkey: Valkey, target: Target, given: dict[str, Any], named: set[str]
) -> None:
    """Signatures with a secret, trace context with tracing, its state if the caller is trusted."""
    async with gateway(valkey.url, **given) as relay:
        preview = (await relay.preview(target.url)).json()
        json = {"preview_id": preview["preview_id"]}
        await relay.post("/actions/execute", json=json, headers=CALLER)
    added = set(preview["effect"]["added_when_sent"])
    assert added & {"webhook-id", "X-Signature", "traceparent", "tracestate"} == named
    assert_all_of_it_was_shown(preview["effect"], target.deliveries[0])


async def test_a_header_that_is_not_named_is_found(relay: Relay, target: Target) -> None:
    """The negative control: with one more header on the wire the comparison fails."""
    preview = (await relay.preview(target.url)).json()
    await relay.execute(preview["preview_id"])
    [sent] = target.deliveries
    more = sent._replace(headers=[*sent.headers, ("X-More", "1")])
    with pytest.raises(AssertionError):
        assert_all_of_it_was_shown(preview["effect"], more)


def test_a_body_that_is_not_text_is_shown_in_base64() -> None:
    """In the store and on the wire it is the same bytes."""
    effect = Effect(method="POST", url="https://a.example/", headers={}, body=b"\xff\0", summary="")
    document, _ = preview_document("p-1", ANY, Raw(b"{}"), effect, [])
    again, _ = stored_effect(document)
    assert (again.body, again.digest) == (effect.body, effect.digest)
    shown = msgspec.json.decode(preview_answer(document, again, request_id="r"))["effect"]
    assert (shown["body"], shown["body_base64"]) == (None, "/wA=")
    assert shown["wire"] == {"head": "POST https://a.example/\n\n", "body_base64": "/wA="}
    assert shown["digest"] == recomputed(shown["wire"])


def test_wire_is_not_stored() -> None:
    """A stored preview has the body once, and one of before this release is still executed."""
    body = b'"' + b"a" * 10_000 + b'"'
    effect = Effect(method="POST", url="https://a.example/", headers={}, body=body, summary="")
    document, _ = preview_document("p-1", ANY, Raw(b"{}"), effect, [], added_when_sent=["Host"])
    assert len(document) < 10_500
    older = document.replace(b',"added_when_sent":["Host"]', b"")
    assert older != document
    assert stored_effect(older)[0].digest == effect.digest


def test_the_formula_is_published() -> None:
    """Operators and clients find it where they look for it."""
    here = Path(__file__).parents[2]
    assert "SHA-256 of `wire.head`" in (here / "deploy/README.md").read_text()
