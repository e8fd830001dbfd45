"""What a request's headers may say: the key, the patience; and bodies of any content."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.http.requests import BODY_MAX, Cursor, PreviewId, VisibleKey, idempotency_key, wait
from gateway.problems import InvalidIdempotencyKey
from tests.api.test_endpoints import problem
from tests.support.gateways import Relay
from tests.support.target import Target


def asked(*headers: tuple[str, str]) -> Request[Any]:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "headers": raw})


def key_of(*values: str) -> str | None:
    return idempotency_key(asked(*(("Idempotency-Key", value) for value in values)))


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("test-1728201234", "test-1728201234"),
        ("1", "1"),
        ("tenantA:1", "tenantA:1"),
        ("!~", "!~"),
        ("a" * 255, "a" * 255),
        ('"quoted"', "quoted"),
        ('"' + "a" * 255 + '"', "a" * 255),
        (r'"a\"b"', 'a"b'),
        (r'"a\\b"', r"a\b"),
        (r"a\b", r"a\b"),
        ('a"b', 'a"b'),
        ('a"', 'a"'),
    ],
)
def test_a_key_is_bare_or_quoted(given: str, key: str) -> None:
    """A quoted key is what it quotes (RFC 8941); 1 to 255 visible characters."""
    assert key_of(given) == key


@pytest.mark.parametrize(
    "given",
    [
        [
            "",
        ],
        ['""'],
        ["a" * 256],
        ['"' + "a" * 256 + '"'],
        ["a b"],
        ['"a b"'],
        ["a\x7f"],
        ["\x1f"],
        ["é"],
        ['"'],
        ['"a'],
        ['"a"b"'],
        [r'"a\b"'],
        [r'"a\"'],
        ["a", "b"],
        ["a", "a"],
        ["", "a"],
    ],
)
def test_what_is_no_key(given: list[str]) -> None:
    """Empty, too long, unprintable, half quoted, or two of them."""
    with pytest.raises(InvalidIdempotencyKey):
        key_of(*given)


def test_without_a_key_there_is_none() -> None:
    """A missing header is not an empty one."""
    assert key_of() is None


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], 10),
        (["wait=0"], 0),
        (["wait=1"], 1),
        (["wait=29"], 29),
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=999999999"], 30),
        (["wait=9999999999"], 10),
        (["Wait = 5"], 5),
        (['wait="5"'], 5),
        (["respond-async, wait=5"], 5),
        (["return=minimal", "wait=5"], 5),
        (["wait=5, wait=6"], 5),
        (["wait"], 10),
        (["wait="], 10),
        (["wait=-1"], 10),
        (["wait=1.5"], 10),
        (["wait=5s"], 10),
        (["await=5"], 10),
        ([""], 10),
    ],
)
def test_how_long_a_duplicate_waits(values: list[str], seconds: int) -> None:
    """`Prefer: wait=n`: 10 s unless told, 30 s at most; what is not understood is not said."""
    assert wait(asked(*(("Prefer", value) for value in values))) == timedelta(seconds=seconds)


WRONG_KEYS = [
    b"Idempotency-Key: cl\xc3\xa9\r\n",
    b"Idempotency-Key: \xff\r\n",
    b"Idempotency-Key:\r\n",
    b"Idempotency-Key: " + b"a" * 256 + b"\r\n",
    b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
]


async def test_a_wrong_key_is_refused_on_the_wire(relay: Relay, subtests: pytest.Subtests) -> None:
    """Raw bytes of any kind: 400, before the body or the preview is looked at."""
    body = b'{"preview_id": "x"}'
    for line in WRONG_KEYS:
        with subtests.test(repr(line[:40])):
            head, answer = await exchange(relay, line + b"Content-Length: %d\r\n" % len(body), body)
            assert head[0] == "HTTP/1.1 400 Bad Request"
            assert "content-type: application/problem+json" in head
            assert f"x-request-id: {answer['request_id']}" in head
            assert answer["code"] == "invalid_idempotency_key"


async def exchange(relay: Relay, headers: bytes, body: bytes) -> tuple[list[str], dict[str, Any]]:
    url = relay.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    start = b"POST /actions/execute HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
    writer.write(start + headers + b"Connection: close\r\n\r\n" + body)
    async with asyncio.timeout(5):
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.decode("latin-1").split("\r\n"), json.loads(rest)


@pytest.mark.parametrize("length", [BODY_MAX + 1, 10**12, 10**18])
async def test_a_body_that_says_it_is_large_is_not_waited_for(relay: Relay, length: int) -> None:
    """Its length is enough for a 413; no byte of it needs to come."""
    head, answer = await exchange(relay, b"Content-Length: %d\r\n" % length, b"")
    assert head[0].startswith("HTTP/1.1 413 ")
    assert answer["code"] == "body_too_large"


async def test_bare_and_quoted_are_one_key(relay: Relay, target: Target) -> None:
    """A client that quotes its key gets the run of the one that does not."""
    first = await relay.execute(await relay.preview_id(target.url), "order-1")
    again = await relay.execute("expired-or-invalid", '"order-1"')
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["run_id"] == first.json()["run_id"]


async def test_a_wrong_key_spends_nothing(relay: Relay, target: Target) -> None:
    """The preview can be executed afterwards, once."""
    preview_id = await relay.preview_id(target.url)
    for key in ("", "a" * 256, "a b"):
        problem(await relay.execute(preview_id, key), 400, "invalid_idempotency_key")
    assert not target.deliveries
    assert (await relay.execute(preview_id, "a" * 255)).status_code == 200
    assert len(target.deliveries) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
params = st.dictionaries(st.sampled_from(["url", "method", "headers", "body", "x"]), json_values)
near = st.fixed_dictionaries({"action": st.just("webhook.save"), "params": params})
bodies = json_values | near | st.fixed_dictionaries({"preview_id": json_values})


@settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=bodies.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
async def test_any_body_is_refused_well(relay: Relay, body: bytes) -> None:
    """Generated JSON and bytes: a problem with its request_id, never a 5xx."""
    headers = {"Content-Type": "application/json"}
    for path in ("/actions/preview", "/actions/execute"):
        response = await relay.post(path, content=body, headers=headers)
        assert 400 <= response.status_code < 500, response.text
        problem(response, response.status_code, response.json()["code"])


@pytest.mark.parametrize("kind", [PreviewId, VisibleKey, Cursor])
def test_a_line_feed_behind_the_text_is_refused(kind: Any) -> None:
    """Python finds `$` before it."""
    assert msgspec.convert("ann", kind) == "ann"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("ann\n", kind)
