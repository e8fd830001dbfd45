"""JSON that two parsers could read differently, or that takes long to read, is refused."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.admin import keys
from gateway.http.requests import BODY_MAX
from gateway.http.strict_json import DEPTH_MAX, INTEGER_MAX, VALUES_MAX, decode
from gateway.problems import InvalidRequest, MalformedJson
from tests.api.test_endpoints import problem
from tests.support.gateways import Relay
from tests.support.keyed import keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

ANY = msgspec.json.Decoder(msgspec.Raw)
JSON = {"Content-Type": "application/json"}
URL = b'"url": "https://127.0.0.1:1/"'


def preview_of(params: bytes) -> bytes:
    return b'{"action": "webhook.save", "params": %s}' % params


# Path, body, pointer of the member that stands there twice.
REPEATED: dict[str, tuple[str, bytes, str]] = {
    "preview_id": ("execute", b'{"preview_id": "A", "preview_id": "B"}', "/preview_id"),
    "the same twice": ("execute", b'{"preview_id": "A", "preview_id": "A"}', "/preview_id"),
    "an escaped name": (
        "execute",
        rb'{"preview_id": "A", "preview\u005fid": "B"}',
        "/preview_id",
    ),
    "action": ("preview", b'{"action": "a", "action": "webhook.save", "params": {}}', "/action"),
    "params": ("preview", b'{"action": "webhook.save", "params": {}, "params": {}}', "/params"),
    "url": ("preview", preview_of(b"{%s, %s}" % (URL, URL)), "/params/url"),
    "method": ("preview", preview_of(b'{"method": "PUT", "method": "GET"}'), "/params/method"),
    "body": ("preview", preview_of(b'{%s, "body": 1, "body": 2}' % URL), "/params/body"),
    "headers": ("preview", preview_of(b'{"headers": {}, "headers": {}}'), "/params/headers"),
    "a header": (
        "preview",
        preview_of(b'{%s, "headers": {"X-A": "1", "X-A": "2"}}' % URL),
        "/params/headers/X-A",
    ),
    "of an unknown action": (
        "preview",
        b'{"action": "other", "params": {"a": [{"b": 1, "b": 2}]}}',
        "/params/a/0/b",
    ),
    "a body elsewhere": (
        "preview",
        b'{"action": "other", "params": {"a": {"body": {"b": 1, "b": 2}}}}',
        "/params/a/body/b",
    ),
}


async def test_a_member_that_is_there_twice(relay: Relay, subtests: pytest.Subtests) -> None:
    """400, and the pointer says which (RFC 8259, 4)."""
    for name, (path, body, pointer) in REPEATED.items():
        with subtests.test(name):
            response = await relay.post(f"/actions/{path}", content=body, headers=JSON)
            [error] = problem(response, 400, "invalid_request")["errors"]
            assert error["pointer"] == pointer


async def test_the_body_is_kept_byte_for_byte(relay: Relay, target: Target) -> None:
    """Names that repeat and numbers of any size included."""
    body = b'{"a": 1, "a":  2, "n": %s, "e": 1e999, "b": {"b": 9007199254740993}}' % (b"9" * 4000)
    params = b'{"url": %s, "body": %s}' % (json.dumps(target.url).encode(), body)
    response = await relay.post("/actions/preview", content=preview_of(params), headers=JSON)
    assert response.status_code == 200, response.text
    assert (await relay.execute(response.json()["preview_id"])).json()["status"] == "success"
    assert target.deliveries[0].body == body


async def test_names_of_keys_are_checked_too(valkey: Valkey, tmp_path: Path) -> None:
    """Every endpoint reads JSON alike."""
    bodies = (
        ("/keys", b'{"name": "a", "role": "admin", "role": "admin"}'),
        ("/secrets", b'{"a": 1, "a": 2}'),
    )
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        for path, body in bodies:
            response = await keyed.relay.post(path, content=body, headers=JSON)
            problem(response, 400, "invalid_request")


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def wide(values: int) -> bytes:
    """Arrays, objects and strings with brackets in them; the outermost counts too."""
    kinds = [b'"[,{\\"["', b"{}", b"[ ]"]
    return b"[" + b",".join(kinds[at % 3] for at in range(values - 1)) + b"]"


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (nested(DEPTH_MAX), True),
        (nested(DEPTH_MAX + 1), False),
        (b'[{"a":' * 16 + b"1" + b"}]" * 16, True),
        (b'[{"a":' * 17 + b"1" + b"}]" * 17, False),
        (b'["' + b"[" * 100 + b'"]', True),
        (b'["\\"' + b"[" * 100 + b'"]', True),
        (b"[" + b"[]," * 100 + b"0]", True),
        (wide(VALUES_MAX), True),
        (wide(VALUES_MAX + 1), False),
        (b"[" + b"0," * (VALUES_MAX - 2) + b"0]", True),
        (b"[" + b"0," * (VALUES_MAX - 1) + b"0]", False),
        (b'{"a":"' + b"," * VALUES_MAX + b'"}', True),
        (b"9007199254740991", True),
        (b"-9007199254740991", True),
        (b"9007199254740992", False),
        (b"-9007199254740992", False),
        (b"[1" + b"0" * 5000 + b"]", False),
        (b"1.5e300", True),
        (rb'"\ud83d\ude00"', True),
        (rb'"\ud83d"', False),
        (rb'"\ude00\ud83d"', False),
        (rb'"\ude00 and more of it"', False),
        (b"NaN", False),
        (b"[-Infinity]", False),
        (b'"\xed\xa0\x80"', False),
        (b'"\xc0\x80"', False),
        ('"a"'.encode("utf-16"), False),
        (b'\xef\xbb\xbf"a"', False),
        (b' \t\r\n"a" ', True),
        (b'"a" "b"', False),
        (b"", False),
    ],
)
def test_the_bounds(body: bytes, taken: bool) -> None:
    """Each with its neighbour."""
    if taken:
        assert bytes(decode(body, ANY)) == body.strip()
    else:
        with pytest.raises((MalformedJson, InvalidRequest)):
            decode(body, ANY)
    assert INTEGER_MAX == 9007199254740991


@pytest.mark.parametrize("body", [rb'{"url": "\ud800"}', rb'{"headers": {"\udc00": ""}}'])
async def test_half_of_a_surrogate_pair_is_named(relay: Relay, body: bytes) -> None:
    """In a value and in a name."""
    response = await relay.post("/actions/preview", content=preview_of(body), headers=JSON)
    assert "surrogate pair" in problem(response, 400, "malformed_json")["detail"]


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'["",', b'"\\', b'"', b"[[],", b"0,", b"\\u"])
def test_no_body_takes_long(piece: bytes) -> None:
    """The largest body is refused in a few milliseconds, whatever it repeats."""
    body = b"[" + piece * (BODY_MAX // len(piece))
    started = time.process_time()
    with pytest.raises((MalformedJson, InvalidRequest)):
        decode(body, ANY)
    assert time.process_time() - started < 0.1


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None, database=None)
@given(value=json_values, ascii_only=st.booleans())
def test_what_is_well_formed_is_taken(value: Any, ascii_only: bool) -> None:
    """Whatever a careful writer writes, however it escapes."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert json.loads(bytes(decode(body, ANY))) == value


def test_what_is_verbatim_has_integers_of_any_size() -> None:
    """Python alone would refuse to read 4,301 digits."""
    body = b'{"body": [1%s]}' % (b"0" * 5000)
    assert bytes(decode(body, ANY, verbatim=("body",))) == body
    with pytest.raises(InvalidRequest):
        decode(body, ANY, verbatim=("other",))


def test_a_typed_body_has_its_own_pointers() -> None:
    """The type of a member is judged before its bounds."""
    with pytest.raises(InvalidRequest) as raised:
        decode(b'{"name": 1, "role": "admin"}', keys._create_request)
    assert raised.value.errors


def test_the_decoder_alone_takes_a_repeated_member() -> None:
    """The negative control: of two values it silently has the last."""
    for _, body, _ in REPEATED.values():
        assert msgspec.json.decode(body)
    assert msgspec.json.decode(b'{"preview_id": "A", "preview_id": "B"}') == {"preview_id": "B"}
