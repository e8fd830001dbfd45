"""The action `http.request` turns params into an effect."""

import base64
from typing import Any

import pytest

from gateway.actions.action import BadParams, Connection
from gateway.actions.http import http_request
from gateway.effects import Credential, Effect
from gateway.http.schemas import inlined
from tests.support.effects import effect_of

URL = "https://api.example.org/v1/things?x=1"
ACTION = http_request()
BILLING = Connection(
    id="c-1", provider="static", account="billing", subject="s-1", header="X-Api-Key"
)


def effect(as_whom: Connection | None = None, **params: Any) -> Effect:
    return effect_of(ACTION, {"url": URL, **params}, connection=as_whom)


def refused(as_whom: Connection | None = None, **params: Any) -> tuple[str, str]:
    with pytest.raises(BadParams) as caught:
        effect(as_whom, **params)
    return caught.value.pointer, str(caught.value)


@pytest.mark.parametrize(
    ("params", "body", "content_type", "described"),
    [
        ({}, None, None, "no body"),
        ({"form": {"a": "1 2", "ü": "&"}}, b"a=1+2&%C3%BC=%26", None, "16 bytes of a form"),
        ({"form": {}}, b"", None, "0 bytes of a form"),
        ({"text": "hé"}, "hé".encode(), "text/plain; charset=utf-8", "3 bytes of text"),
        ({"text": ""}, b"", "text/plain; charset=utf-8", "0 bytes of text"),
        ({"base64": "AP8="}, b"\x00\xff", "application/octet-stream", "2 bytes of any kind"),
        ({"body": None}, b"null", "application/json", "4 bytes of JSON"),
    ],
)
def test_each_kind_of_body(
    params: dict[str, Any], body: bytes | None, content_type: str | None, described: str
) -> None:
    made = effect(**params)
    assert made.body == body
    if "form" in params:
        content_type = "application/x-www-form-urlencoded"
    assert made.headers.get("Content-Type") == content_type
    assert made.summary == f"POST {URL} with {described}"


def test_json_is_kept_byte_for_byte() -> None:
    """Spaces, digits and names that repeat stay."""
    body = '{"a":  1.50, "a": [ ]}'
    assert effect_of(ACTION, f'{{"url": "{URL}", "body": {body}}}').body == body.encode()


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "X"]
)
def test_any_method_is_sent(method: str) -> None:
    assert effect(method=method).method == method


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "CONNECT\n", "G T", "", "A" * 33])
def test_what_is_no_method_to_send_is_refused(method: str) -> None:
    assert refused(method=method)[0] == "/method"


def test_two_bodies_are_refused() -> None:
    for second in ("form", "text", "base64"):
        value: Any = {} if second == "form" else ""
        assert refused(body=1, **{second: value})[0] == f"/{second}"


@pytest.mark.parametrize("text", ["A", "AAA", "A===", "AAA\n", "-_8=", "é"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    assert refused(base64=text) == ("/base64", "This is not base64 (RFC 4648, 4).")


def test_base64_of_any_bytes_is_taken() -> None:
    every = bytes(range(256))
    assert effect(base64=base64.b64encode(every).decode()).body == every


def test_a_connection_stands_beside_the_digest() -> None:
    """The same request as another account has the same digest and another credential."""
    made, other = effect(BILLING, connection="c-1"), effect()
    assert made.digest == other.digest
    assert made.credential == Credential(
        connection="c-1", provider="static", account="billing", subject="s-1", header="X-Api-Key"
    )
    assert other.credential is None
    assert made.summary == f"POST {URL} as billing with no body"
    assert (made.slot, other.slot) == ("connection:c-1", "api.example.org:443")


@pytest.mark.parametrize("name", ["X-Api-Key", "x_api-key"])
def test_the_header_of_the_connection_is_its_own(name: str) -> None:
    where, detail = refused(BILLING, connection="c-1", headers={name: "mine"})
    assert (where, detail) == (f"/headers/{name}", "The connection sets this header.")
    assert effect(headers={name: "mine"}).warnings != ()


def test_a_body_of_a_head_is_warned_of() -> None:
    assert "HEAD" in effect(method="HEAD", text="x").warnings[0]
    assert effect(method="HEAD").warnings == ()


def test_every_field_is_described() -> None:
    """With an example, for people and models that fill it in."""
    properties = inlined(ACTION.params)["properties"]
    assert {name for name, one in properties.items() if "description" not in one} == set()
