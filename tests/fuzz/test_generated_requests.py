"""Generated requests: no 5xx, each refusal is a problem, each answer matches its schema.

FUZZ_REQUESTS says how many; `make fuzz` sends 100,000.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from gateway.api.routes import ENDPOINTS
from tests.fuzz.judge import DOCUMENT, faults
from tests.support.gateways import NO_AUTHORITIES, gateway_process
from tests.support.valkey import Valkey

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "500"))
# A request from the document takes 15 ms to generate, another 2 ms.
FROM_DOCUMENT = REQUESTS // 5
OPERATIONS = [
    (one.method, one.path)
    for one in ENDPOINTS
    if one.scope and (one.query or one.request or "{" in one.path)
]
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def gateway(valkey_server: Valkey) -> Iterator[httpx2.Client]:
    """A client with the key of an administrator."""
    with (
        valkey_server.client() as redis,
        gateway_process({"REDIS_URL": valkey_server.url, "TELEMETRY_ENABLED": "false"}) as process,
        httpx2.Client(base_url=process.url, trust_env=False, verify=NO_AUTHORITIES) as client,
    ):
        redis.flushall()
        made = client.post("/keys", json={"name": "fuzz", "role": "admin"}).json()
        client.headers = httpx2.Headers({"Authorization": f"Bearer {made['secret']}"})
        yield client


def sendable(headers: dict[str, Any]) -> httpx2.Headers:
    """The generated headers; those of the client itself are kept."""
    own = {"authorization", "connection", "content-length", "host", "transfer-encoding"}
    pairs = [(name, str(value)) for name, value in headers.items() if name.lower() not in own]
    return httpx2.Headers([(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in pairs])


@pytest.mark.timeout(0)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_requests_from_the_document(
    gateway: httpx2.Client, method: str, path: str, mode: GenerationMode
) -> None:
    """Values that the schemas allow, and values that they do not."""
    count = max(1, FROM_DOCUMENT // (2 * len(OPERATIONS)))

    @settings(max_examples=count, **SETTINGS)
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        asked = case.as_transport_kwargs(base_url=str(gateway.base_url))
        kept = ("url", "params", "json", "content")
        given = {name: value for name, value in asked.items() if name in kept}
        if asked.get("data") is not None:
            given["content"] = str(asked["data"])
        try:
            request = gateway.build_request(method, headers=sendable(asked["headers"]), **given)
            response = gateway.send(request)
        except (ValueError, httpx2.InvalidURL, httpx2.LocalProtocolError):
            return  # what the client cannot write
        assert faults(method, path, response) == []

    send()


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
urls = st.sampled_from(["https://127.0.0.1:1/", "http://10.0.0.1/", "https://[::1]/a?b#c", "", "x"])
params = st.fixed_dictionaries(
    {},
    optional={
        "url": urls | st.from_regex(r"https?://[\[\]:@0-9.%/?#a-f]{0,30}"),
        "method": st.sampled_from(["POST", "GET", "post", ""]),
        "headers": st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3),
        "body": json_values,
        "x": json_values,
    },
)
previews = st.fixed_dictionaries({"action": st.just("webhook.save") | st.text(), "params": params})
executes = st.fixed_dictionaries({"preview_id": st.text() | json_values})
keys = st.fixed_dictionaries(
    {"name": st.text(max_size=90)},
    optional={
        "role": st.sampled_from(["viewer", "operator", "x"]),
        "scopes": st.lists(st.text(), max_size=2),
        "expires_in_days": st.integers(),
    },
)
written = (previews | executes | keys | json_values).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON with a piece cut out, repeated, or overwritten."""
    body = draw(written)
    start, end = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    piece = draw(st.sampled_from([b"", body[start:end] * 2, b"\\ud800", b"[" * 40, b"NaN"]))
    return body[:start] + (piece or draw(st.binary(max_size=8))) + body[end:]


values = st.binary(max_size=30) | st.sampled_from([b"wait=1", b"a" * 300, b'"a"', b"00-1-2-3"])
names = st.sampled_from(
    [b"Accept", b"Idempotency-Key", b"Prefer", b"traceparent", b"X-Request-ID", b"Origin"]
)
queries = st.lists(
    st.tuples(
        st.sampled_from(["limit", "cursor", "since", "until", "status", "x"]),
        st.text(max_size=40) | st.datetimes().map(str) | st.integers().map(str),
    ),
    max_size=4,
)
POSTED = ["/actions/preview", "/actions/execute", "/keys", "/secrets", "/keys/00000000/rotate"]
READ = ["/runs", "/audit", "/actions", "/metrics", "/"]


@pytest.mark.timeout(0)
@settings(max_examples=REQUESTS - FROM_DOCUMENT, **SETTINGS)
@given(
    body=written | damaged() | st.binary(max_size=60),
    headers=st.lists(st.tuples(names, values), max_size=3),
    query=queries,
    post=st.booleans(),
    data=st.data(),
)
def test_requests_of_any_content(
    gateway: httpx2.Client, body: bytes, headers: Any, query: Any, post: bool, data: st.DataObject
) -> None:
    """JSON close to what is asked for, damaged JSON, bytes, and any headers and queries."""
    path = data.draw(st.sampled_from(POSTED if post else READ))
    typed = [(b"Content-Type", b"application/json")] if post else []
    sent = [(name, value.translate(None, b"\0\r\n").strip()) for name, value in headers]
    method, content = ("POST", body) if post else ("GET", None)
    try:
        response = gateway.request(
            method, path, content=content, headers=httpx2.Headers(typed + sent), params=query
        )
    except (UnicodeEncodeError, httpx2.LocalProtocolError):
        return  # what the client cannot write
    published = "/keys/{key_id}/rotate" if path.endswith("rotate") else path
    assert faults(method, published, response) == []
