"""Which request headers a page of another origin may send."""

import pytest

from tests.support.gateways import gateway
from tests.support.valkey import Valkey

ORIGIN = "https://studio.example.com"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("traceparent", 200),
        ("tracestate", 200),
        ("baggage", 200),
        ("sentry-trace", 200),
        ("content-type,idempotency-key,baggage,sentry-trace", 200),
        ("x-b3-traceid", 200),
        ("X-B3-TraceId", 200),
        ("x-b3-spanid", 400),
        ("cookie", 400),
    ],
)
async def test_the_headers_of_a_preflight(valkey: Valkey, header: str, status: int) -> None:
    """Those of tracing libraries always, others by CORS_HEADERS."""
    async with gateway(valkey.url, cors_origins=(ORIGIN,), cors_headers=("X-B3-TraceId",)) as relay:
        headers = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": header,
        }
        response = await relay.options("/actions/preview", headers=headers)
    assert response.status_code == status, response.text
