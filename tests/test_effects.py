"""The digest of an effect is the SHA-256 of all that is sent."""

from hashlib import sha256
from typing import Any

import pytest

from gateway.effects import Effect


def effect(**changes: Any) -> Effect:
    parts: dict[str, Any] = {
        "method": "POST",
        "url": "https://example.org/hook?a=1",
        "headers": {"Accept": "*/*", "Content-Type": "application/json"},
        "body": b'{"test":  "hello"}',
        "summary": "POST it",
    }
    return Effect(**{**parts, **changes})


def test_the_digest_by_hand() -> None:
    """Request line, headers in their order, an empty line, the body."""
    text = (
        b"POST https://example.org/hook?a=1\n"
        b"Accept: */*\nContent-Type: application/json\n"
        b'\n{"test":  "hello"}'
    )
    assert effect().digest == f"sha256:{sha256(text).hexdigest()}"


def test_the_digest_without_headers_and_body() -> None:
    """Without headers there is no line for them, and without a body nothing follows."""
    bare = effect(method="GET", headers={}, body=None)
    text = b"GET https://example.org/hook?a=1\n\n"
    assert bare.digest == f"sha256:{sha256(text).hexdigest()}"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"url": "https://example.org/hook?a=2"},
        {"url": "https://example.org/hook?a=1 "},
        {"headers": {"Accept": "*/*"}},
        {"headers": {"Accept": "*/*", "Content-Type": "application/jsoN"}},
        {"headers": {"Accept": "*/*", "content-type": "application/json"}},
        {"headers": {"Content-Type": "application/json", "Accept": "*/*"}},
        {"body": b'{"test": "hello"}'},
        {"body": None},
    ],
)
def test_the_digest_covers_all_that_is_sent(change: dict[str, Any]) -> None:
    """Another method, URL, header, order of headers or byte of the body changes it."""
    assert effect(**change).digest != effect().digest


def test_the_digest_covers_nothing_else() -> None:
    """Summary and warnings may change."""
    assert effect(summary="other", warnings=("careful",)).digest == effect().digest


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com/hook", "example.com:443"),
        ("https://EXAMPLE.com./hook", "example.com:443"),
        ("https://example.com:8443/", "example.com:8443"),
        ("http://example.com", "example.com:80"),
        ("https://www.example.com/", "www.example.com:443"),
        ("https://[2001:DB8:0:0::1]:8443/", "[2001:db8::1]:8443"),
        ("https://[2001:db8::1]/", "[2001:db8::1]:443"),
        ("https://192.0.2.1/", "192.0.2.1:443"),
    ],
)
def test_a_target_is_one_host_and_port_in_any_spelling(url: str, target: str) -> None:
    """Its concurrency limit is the same for every spelling, scheme and port."""
    assert effect(url=url).target == target
