"""Whatever stands in a header or a query, a parser of a library never fails with a 5xx."""

from itertools import product
from pathlib import Path

import httpx2
import pytest

from tests.support.gateways import LOOPBACK
from tests.support.keyed import keyed_gateway
from tests.support.valkey import Valkey

VALUES = (
    b"",
    b";",
    b",",
    b"=",
    b'"',
    b"\xff\xfe",
    b"\xc3\xa9",
    b"*/*;q=a",
    b"text/plain; version=banana",
    b"application/openmetrics-text; version=banana; escaping=x",
    b"text/plain;version=;escaping==",
    b"wait=99999999999999999999999999",
    b"wait=\xb2",
    b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00",
    b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-zz",
    b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-x",
    b"a=b,a=b,=,;c=%ff",
    b"a" * 4000,
    b"Bearer ",
    b"Bearer rly_live_\xff",
    b"Basic Zm9vOmJhcg==",
    b"bytes=0-",
    b"Thu, 99 Foo 99999 99:99:99 GMT",
    b"[::1]:99999, 1.2.3.4:x, %s%n",
    b"a=b; c; =d; $Version=1",
)
NAMES = """Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers
Access-Control-Request-Method Authorization Cache-Control Content-Type Content-Encoding Cookie
Forwarded Idempotency-Key If-Match If-Modified-Since If-None-Match Origin Prefer Range Referer
User-Agent X-Forwarded-For X-Forwarded-Proto X-Request-ID X-Signature baggage sentry-trace
traceparent tracestate""".split()
QUERIES = (
    "limit=%FF",
    "limit=%C2%B2",
    "limit=1e1",
    "limit",
    "=",
    "&&&",
    "cursor=%00",
    "cursor=AAAA",
    "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk",
    "cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LCJhIl0",
    "cursor=%F0%9F%98%80",
    "since=0001-01-01T00:00:00%2B14:00",
    "since=9999-12-31T23:59:59-14:00",
    "since=2026-11-23T04:00:00",
    "status=%ED%A0%80",
    "a=" * 2000,
    ";".join("abc"),
)


@pytest.mark.timeout(180)  # 3,000 requests
async def test_any_value_of_any_header(valkey: Valkey, tmp_path: Path) -> None:
    """On paths without a key, on preflights and behind a trusted proxy."""
    origins = ("https://a.example",)
    async with keyed_gateway(
        valkey.url, tmp_path, cors_origins=origins, trusted_proxies=LOOPBACK, trust_traceparent=True
    ) as keyed:
        keyed.relay.headers.clear()
        for name, value in product(NAMES, VALUES):
            headers = httpx2.Headers([(name.encode(), value.strip())])
            for method, path in (
                ("GET", "/metrics"),
                ("GET", "/"),
                ("OPTIONS", "/runs"),
                ("POST", "/actions/execute"),
            ):
                response = await keyed.relay.request(method, path, headers=headers)
                assert response.status_code < 500, (name, value, response.text)


async def test_any_query(valkey: Valkey, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Of the two lists: answered or refused with 400."""
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        for path, query in product(("/runs", "/audit"), QUERIES):
            with subtests.test(query[:40], path=path):
                response = await keyed.relay.get(f"{path}?{query}")
                assert response.status_code in (200, 400), response.text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("Application/OpenMetrics-Text;q=0.5,text/plain", "application/openmetrics-text"),
        ("application/openmetrics-text; version=banana", "application/openmetrics-text"),
        ("text/plain; version=banana", "text/plain"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain"),
        ("*/*", "text/plain"),
        ("", "text/plain"),
    ],
)
async def test_the_format_of_metrics(
    valkey: Valkey, tmp_path: Path, accept: str, media_type: str
) -> None:
    """What no version says is plain text, as Prometheus expects of an old exporter."""
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        response = await keyed.relay.get("/metrics", headers={"Accept": accept})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(media_type)
